package jolt

import (
	"math"
	"math/big"
	"slices"

	"github.com/sluice-gateway/sluice/policies/jsondoc"
)

func number(v any) (any, bool) {
	switch v.(type) {
	case int32, int64, float64, jsondoc.Number:
		return v, true
	}
	return nil, false
}

// extreme is the greatest or least number of a list, of each kind apart, as JOLT compares them.
func extreme(l []any, greatest bool) (any, bool, error) {
	var ints []int32
	var longs []int64
	var doubles []float64
	for _, v := range l {
		if s, ok := v.(string); ok {
			v = toNumber(s)
		}
		switch n := v.(type) {
		case int32:
			ints = append(ints, n)
		case int64:
			longs = append(longs, n)
		case float64:
			doubles = append(doubles, n)
		}
	}
	if len(ints)+len(longs)+len(doubles) == 0 {
		return nil, false, nil
	}
	if greatest {
		i := slices.Max(append(ints, math.MinInt32))
		n := slices.Max(append(longs, math.MinInt64))
		d := slices.Max(append(doubles, -math.MaxFloat64))
		switch {
		case int64(i) >= saturated(d) && int64(i) >= n:
			return i, true, nil
		case n >= saturated(d):
			return n, true, nil
		}
		return d, true, nil
	}
	i := slices.Min(append(ints, math.MaxInt32))
	n := slices.Min(append(longs, math.MaxInt64))
	d := slices.Min(append(doubles, math.MaxFloat64))
	switch {
	case int64(i) <= saturated(d) && int64(i) <= n:
		return i, true, nil
	case n <= saturated(d):
		return n, true, nil
	}
	return d, true, nil
}

func abs(v any) (any, bool) {
	if s, ok := v.(string); ok {
		v = toNumber(s)
	}
	switch n := v.(type) {
	case int32:
		return max(n, -n), true
	case int64:
		return max(n, -n), true
	case float64:
		return math.Abs(n), true
	}
	return nil, false
}

func avg(_ *run, l []any) (any, bool, error) {
	sum, n := 0.0, 0
	for _, v := range l {
		if d, ok := toDouble(v); ok {
			sum += d
			n++
		}
	}
	return sum / float64(max(1, n)), n > 0, nil
}

func intSum(_ *run, l []any) (any, bool, error) {
	var sum int32
	for _, v := range l {
		n, _ := toInt(v)
		sum += n
	}
	return sum, true, nil
}

func longSum(_ *run, l []any) (any, bool, error) {
	var sum int64
	for _, v := range l {
		n, _ := toLong(v)
		sum += n
	}
	return sum, true, nil
}

func doubleSum(_ *run, l []any) (any, bool, error) {
	sum := 0.0
	for _, v := range l {
		n, _ := toDouble(v)
		sum += n
	}
	return sum, true, nil
}

func subtract[T int32 | int64 | float64](_ *run, l []any) (any, bool, error) {
	if len(l) != 2 {
		return nil, false, nil
	}
	a, ok1 := l[0].(T)
	b, ok2 := l[1].(T)
	return a - b, ok1 && ok2, nil
}

func divide(_ *run, l []any) (any, bool, error) {
	if len(l) != 2 {
		return nil, false, nil
	}
	a, ok1 := toDouble(l[0])
	b, ok2 := toDouble(l[1])
	if !ok1 || !ok2 || b == 0 {
		return nil, false, nil
	}
	return a / b, true, nil
}

func divideAndRound(r *run, digits any, l []any) (any, bool, error) {
	const most = 400
	v, ok, _ := divide(r, l)
	n := digits.(int32)
	if !ok || n < -most || n > most || math.IsInf(v.(float64), 0) || math.IsNaN(v.(float64)) {
		return nil, false, nil
	}
	exact := new(big.Rat).SetFloat64(v.(float64))
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil))
	if n < 0 {
		scale.Inv(scale)
	}
	scaled := exact.Mul(exact, scale)
	scaled.Add(scaled, big.NewRat(int64(scaled.Sign()), 2))
	rounded := new(big.Rat).SetInt(new(big.Int).Quo(scaled.Num(), scaled.Denom()))
	out, _ := rounded.Quo(rounded, scale).Float64()
	return out, true, nil
}
