package el

import (
	"strings"
	"time"
)

// timeClass is which of Java's classes a moment is of.
type timeClass uint8

const (
	localDate timeClass = iota
	localDateTime
	zonedDateTime
	date // java.util.Date
)

// moment is a date, a time, or both. Local ones are kept in UTC.
type moment struct {
	at    time.Time
	class timeClass
}

func (mo *moment) with(t time.Time) Value {
	return Value{kind: Time, ref: &moment{t, mo.class}}
}

var javaLayouts = [...]string{"2006-01-02", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z07:00", ""}

// appendText appends the moment as its class writes it, less the seconds that Java leaves out where they are zero.
func (mo *moment) appendText(dst []byte) []byte {
	return mo.at.AppendFormat(dst, javaLayouts[mo.class])
}

// field is a bean property of a moment.
func (mo *moment) field(name string) (Value, bool) {
	if mo.class == date {
		return OfLong(mo.at.UnixMilli()), name == "time"
	}
	switch name {
	case "year":
		return OfInt(int64(mo.at.Year())), true
	case "monthValue":
		return OfInt(int64(mo.at.Month())), true
	case "month":
		return OfText(strings.ToUpper(mo.at.Month().String())), true
	case "dayOfMonth":
		return OfInt(int64(mo.at.Day())), true
	case "dayOfWeek":
		return OfText(strings.ToUpper(mo.at.Weekday().String())), true
	case "dayOfYear":
		return OfInt(int64(mo.at.YearDay())), true
	}
	if mo.class == localDate {
		return Value{}, false
	}
	switch name {
	case "hour":
		return OfInt(int64(mo.at.Hour())), true
	case "minute":
		return OfInt(int64(mo.at.Minute())), true
	case "second":
		return OfInt(int64(mo.at.Second())), true
	}
	return Value{}, false
}

// fieldMethod is the method that reads a field.
func fieldMethod(name string) impl {
	return impl{0, 0, func(_ *machine, _ *call, self Value, _ []Value) (Value, error) {
		if v, ok := self.ref.(*moment).field(name); ok {
			return v, nil
		}
		return Value{}, faultf(CodeType, "this date has no %s", name)
	}}
}

// plus makes a method that adds so many of a unit.
func plus(sign int, add func(t time.Time, n int) time.Time) impl {
	return impl{1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		n, err := toLong(a[0])
		if err != nil {
			return Value{}, err
		}
		const most = 1 << 31
		if n > most || n < -most {
			return Value{}, faultf(CodeArgument, "a date cannot be moved that far")
		}
		mo := self.ref.(*moment)
		return mo.with(add(mo.at, sign*int(n))), nil
	}}
}

func addDays(t time.Time, n int) time.Time  { return t.AddDate(0, 0, n) }
func addWeeks(t time.Time, n int) time.Time { return t.AddDate(0, 0, 7*n) }
func addHours(t time.Time, n int) time.Time { return t.Add(time.Duration(n) * time.Hour) }
func addMinutes(t time.Time, n int) time.Time {
	return t.Add(time.Duration(n) * time.Minute)
}
func addSeconds(t time.Time, n int) time.Time { return t.Add(time.Duration(n) * time.Second) }

// addMonths keeps the day where the month has it, and takes the month's last where it has not, as Java does.
func addMonths(t time.Time, n int) time.Time {
	to := t.AddDate(0, n, 0)
	if to.Day() != t.Day() {
		to = to.AddDate(0, 0, -to.Day())
	}
	return to
}

func addYears(t time.Time, n int) time.Time { return addMonths(t, 12*n) }

func order(holds func(c int) bool) impl {
	return impl{1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		if a[0].kind != Time {
			return Value{}, faultf(CodeType, "a date is compared with a %s", a[0].kind)
		}
		c, err := compare(self, a[0])
		return OfBool(holds(c)), err
	}}
}

func before(c int) bool { return c < 0 }
func after(c int) bool  { return c > 0 }

var timeMethods = map[string]impl{
	"getTime": fieldMethod("time"), "getYear": fieldMethod("year"), "getMonthValue": fieldMethod("monthValue"),
	"getMonth": fieldMethod("month"), "getDayOfMonth": fieldMethod("dayOfMonth"), "getDayOfWeek": fieldMethod("dayOfWeek"),
	"getDayOfYear": fieldMethod("dayOfYear"), "getHour": fieldMethod("hour"), "getMinute": fieldMethod("minute"),
	"getSecond": fieldMethod("second"),
	"plusDays":  plus(1, addDays), "minusDays": plus(-1, addDays), "plusWeeks": plus(1, addWeeks), "minusWeeks": plus(-1, addWeeks),
	"plusMonths": plus(1, addMonths), "minusMonths": plus(-1, addMonths), "plusYears": plus(1, addYears), "minusYears": plus(-1, addYears),
	"plusHours": plus(1, addHours), "minusHours": plus(-1, addHours), "plusMinutes": plus(1, addMinutes),
	"minusMinutes": plus(-1, addMinutes), "plusSeconds": plus(1, addSeconds), "minusSeconds": plus(-1, addSeconds),
	"isBefore": order(before), "before": order(before), "isAfter": order(after), "after": order(after),
	"isEqual": order(func(c int) bool { return c == 0 }),
	"format": {1, 1, func(_ *machine, _ *call, self Value, a []Value) (Value, error) {
		f, ok := a[0].ref.(*formatter)
		if !ok {
			return Value{}, faultf(CodeType, "format wants a DateTimeFormatter")
		}
		return OfText(self.ref.(*moment).at.Format(f.layout)), nil
	}},
	"toEpochSecond": of(func(self Value) Value { return OfLong(self.ref.(*moment).at.Unix()) }),
	"toLocalDate": of(func(self Value) Value {
		y, mo, d := self.ref.(*moment).at.Date()
		return Value{kind: Time, ref: &moment{time.Date(y, mo, d, 0, 0, 0, 0, time.UTC), localDate}}
	}),
}

// now is the present time as a class has it, in the worker's zone.
func now(class timeClass) staticMethod {
	return staticMethod{0, 0, true, func(*machine, []Value) (Value, error) {
		t := time.Now()
		switch class {
		case localDate:
			t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		case localDateTime:
			t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
		}
		return Value{kind: Time, ref: &moment{t, class}}, nil
	}}
}

// parseTime reads a text as its class writes it, or as a formatter says.
func parseTime(class timeClass) staticMethod {
	return staticMethod{1, 2, false, func(m *machine, a []Value) (Value, error) {
		s, err := argText(m, a[0])
		if err != nil {
			return Value{}, err
		}
		layout := javaLayouts[class]
		if len(a) == 2 {
			f, ok := a[1].ref.(*formatter)
			if !ok {
				return Value{}, faultf(CodeType, "parse wants a DateTimeFormatter")
			}
			layout = f.layout
		}
		return readTime(s, layout, class)
	}}
}

func readTime(s, layout string, class timeClass) (Value, error) {
	t, bad := time.Parse(layout, s)
	if bad != nil && strings.Contains(layout, ":05") { // Java leaves out the seconds that are zero
		if short, err := time.Parse(strings.Replace(layout, ":05.999999999", "", 1), s); err == nil {
			t, bad = short, nil
		}
	}
	if bad != nil {
		return Value{}, faultf(CodeArgument, "the text %s is not a date of the form that is wanted", quoteShort(s))
	}
	return Value{kind: Time, ref: &moment{t, class}}, nil
}

var timeStatics = map[string]staticMethod{
	"java.time.LocalDate.now": now(localDate), "java.time.LocalDate.parse": parseTime(localDate),
	"java.time.LocalDateTime.now": now(localDateTime), "java.time.LocalDateTime.parse": parseTime(localDateTime),
	"java.time.ZonedDateTime.now": now(zonedDateTime), "java.time.ZonedDateTime.parse": parseTime(zonedDateTime),
	"java.time.LocalDate.of": {3, 3, false, func(_ *machine, a []Value) (Value, error) {
		var n [3]int
		for i := range n {
			x, err := toLong(a[i])
			if err != nil {
				return Value{}, err
			}
			n[i] = int(x)
		}
		t := time.Date(n[0], time.Month(n[1]), n[2], 0, 0, 0, 0, time.UTC)
		if t.Year() != n[0] || int(t.Month()) != n[1] || t.Day() != n[2] {
			return Value{}, faultf(CodeArgument, "there is no such date")
		}
		return Value{kind: Time, ref: &moment{t, localDate}}, nil
	}},
	"java.time.format.DateTimeFormatter.ofPattern": {1, 1, false, newFormatter},
	"java.text.SimpleDateFormat.new":               {1, 1, false, newFormatter},
	// A date of a given time is always the same; the parser marks only the one without arguments.
	"java.util.Date.new": {0, 1, true, func(_ *machine, a []Value) (Value, error) {
		t := time.Now()
		if len(a) == 1 {
			n, err := toLong(a[0])
			if err != nil {
				return Value{}, err
			}
			t = time.UnixMilli(n)
		}
		return Value{kind: Time, ref: &moment{t, date}}, nil
	}},
}
