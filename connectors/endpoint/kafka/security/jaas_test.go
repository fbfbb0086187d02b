package security

import (
	"maps"
	"strings"
	"testing"
)

func TestParseJAAS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text, class string
		options           map[string]string
	}{
		{"kafka's sample", `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="alice-secret";`,
			"PlainLoginModule", map[string]string{"username": "alice", "password": "alice-secret"}},
		{"event hubs, no semicolon", `org.apache.kafka.common.security.plain.PlainLoginModule required username="$ConnectionString" password="Endpoint=sb://x/;Key=a="`,
			"PlainLoginModule", map[string]string{"username": "$ConnectionString", "password": "Endpoint=sb://x/;Key=a="}},
		{"single quotes, lines", "x.ScramLoginModule REQUIRED\n  username='b\"ob'\n  password = 'it\\'s';\n",
			"ScramLoginModule", map[string]string{"username": `b"ob`, "password": "it's"}},
		{"bare values", `IAMLoginModule required awsProfileName=my-profile_1;`, "IAMLoginModule", map[string]string{"awsProfileName": "my-profile_1"}},
		{"no options", `software.amazon.msk.auth.iam.IAMLoginModule required;`, "IAMLoginModule", map[string]string{}},
		{"empty value in quotes", `M required a="";`, "M", map[string]string{"a": ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, err := parseJAAS(tc.text)
			if err != nil || m.class != tc.class || !maps.Equal(m.options, tc.options) {
				t.Fatalf("%+v, %v", m, err)
			}
		})
	}
}

func TestParseJAAS_RefusesWithoutTellingSecrets(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                "  ",
		"no flag":              `PlainLoginModule username="hunter2";`,
		"open quote":           `PlainLoginModule required password="hunter2;`,
		"open quote then more": `PlainLoginModule required password="hunter2 username="a";`,
		"line break":           "PlainLoginModule required password=\"hunter2\n\";",
		"spaces":               `PlainLoginModule required password=my hunter2 username=a;`,
		"bare equals":          `PlainLoginModule required password=hunter2=;`,
		"no value":             `PlainLoginModule required hunter2=;`,
		"twice":                `PlainLoginModule required hunter2=a hunter2=b;`,
		"two modules":          `PlainLoginModule required a=b; PlainLoginModule required password="hunter2";`,
		"bad escape":           `PlainLoginModule required password="hunter2\x";`,
		"glued":                `PlainLoginModule required password="a"hunter2;`,
		"too long":             "M required a=" + strings.Repeat("hunter2", maxJAAS),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseJAAS(text)
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func FuzzParseJAAS(f *testing.F) {
	f.Add(`a.PlainLoginModule required username="a" password='b\'';`)
	f.Add(`M optional a=b c = "d"`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseJAAS(text)
		if err == nil && m.options == nil {
			t.Error("a module without options")
		}
	})
}
