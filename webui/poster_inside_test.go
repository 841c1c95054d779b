package webui

import "testing"

func TestJoinCodeIsEscaped(t *testing.T) {
	for ssid, want := range map[string]string{
		"Le Radeau": "WIFI:T:nopass;S:Le Radeau;;",
		`a\b;c,d:"`: `WIFI:T:nopass;S:a\\b\;c\,d\:\";;`,
		"مكتبة":     "WIFI:T:nopass;S:مكتبة;;",
	} {
		if got := joinCode(ssid); got != want {
			t.Errorf("%s: %s, want %s", ssid, got, want)
		}
	}
}
