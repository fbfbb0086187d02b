package security

import (
	"errors"
	"fmt"
	"strings"
)

// loginModule is a JAAS statement: a class and its options.
type loginModule struct {
	class   string // without its package
	options map[string]string
}

// maxJAAS bounds a JAAS text, in bytes; ours to choose, since none longer than a token and some words is of use.
const maxJAAS = 64 << 10

// parseJAAS reads `class flag name=value ... ;`, one statement, as javax.security.auth.login.Configuration describes it.
// Values stand in " or ', with \ before a quote or a \, or bare; the ; may be missing. Errors tell places and no text: a
// forgotten quote makes a part of a password look like anything.
func parseJAAS(text string) (loginModule, error) {
	if len(text) > maxJAAS {
		return loginModule{}, fmt.Errorf("is longer than %d bytes", maxJAAS)
	}
	p := jaasParser{text: text}
	class := p.word()
	if class == "" {
		return loginModule{}, errors.New("does not begin with the class of a login module")
	}
	m := loginModule{class: class[strings.LastIndexByte(class, '.')+1:], options: map[string]string{}}
	switch strings.ToLower(p.word()) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return loginModule{}, errors.New("has no flag after the class; write: required")
	}
	for n := 1; !p.end(); n++ {
		name, value, err := p.option()
		if err != nil {
			return loginModule{}, fmt.Errorf("option %d (byte %d) %w", n, p.at, err)
		}
		if _, twice := m.options[name]; twice {
			return loginModule{}, fmt.Errorf("option %d (byte %d) is there twice", n, p.at)
		}
		m.options[name] = value
	}
	if p.skip(); p.at < len(p.text) {
		return loginModule{}, fmt.Errorf("goes on after the ; (byte %d): only one login module is possible", p.at)
	}
	return m, nil
}

type jaasParser struct {
	text string
	at   int
}

func (p *jaasParser) skip() {
	p.at += len(p.text[p.at:]) - len(strings.TrimLeft(p.text[p.at:], " \t\r\n"))
}

// end takes the ; or the end of the text.
func (p *jaasParser) end() bool {
	p.skip()
	if p.at == len(p.text) {
		return true
	}
	if p.text[p.at] == ';' {
		p.at++
		return true
	}
	return false
}

// word takes what needs no quotes.
func (p *jaasParser) word() string {
	p.skip()
	rest := p.text[p.at:]
	n := strings.IndexAny(rest, " \t\r\n;=\"'\\")
	if n < 0 {
		n = len(rest)
	}
	p.at += n
	return rest[:n]
}

func (p *jaasParser) option() (name, value string, err error) {
	if name = p.word(); name == "" {
		return "", "", errors.New("has no name")
	}
	if p.skip(); p.at == len(p.text) || p.text[p.at] != '=' {
		return "", "", errors.New("has no = after its name; a value with spaces needs quotes")
	}
	p.at++
	p.skip()
	if p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\'') {
		value, err = p.quoted()
		return name, value, err
	}
	if value = p.word(); value == "" {
		return "", "", errors.New("has no value")
	}
	if p.at < len(p.text) && strings.IndexByte(" \t\r\n;", p.text[p.at]) < 0 {
		return "", "", errors.New("has a character that needs quotes around the value")
	}
	return name, value, nil
}

func (p *jaasParser) quoted() (string, error) {
	quote := p.text[p.at]
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch ch := p.text[i]; ch {
		case quote:
			p.at = i + 1
			if p.at < len(p.text) && strings.IndexByte(" \t\r\n;", p.text[p.at]) < 0 {
				return "", errors.New("goes on after its closing quote")
			}
			return b.String(), nil
		case '\n', '\r':
			return "", errors.New("has a line break inside quotes")
		case '\\':
			if i++; i == len(p.text) || strings.IndexByte(`"'\`, p.text[i]) < 0 {
				return "", errors.New(`has a \ that stands before neither a quote nor a \`)
			}
			b.WriteByte(p.text[i])
		default:
			b.WriteByte(ch)
		}
	}
	return "", errors.New("has no closing quote")
}
