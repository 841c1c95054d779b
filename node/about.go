package node

import (
	"fmt"
	"strings"

	"boucan/record"
	"boucan/webui"
)

// About is what an operator says of a box on its page. Everything may be empty.
type About struct {
	Keeper string // who keeps the box
	Rules  string // what is wanted on it and what is not; lines are kept
	WiFi   string // name of its open network, for the poster
	Source string // file with the program's source code, as a path
}

// clean takes out what cannot be shown, and refuses what is too long.
func (a About) clean() (About, error) {
	for _, t := range []struct {
		flag string
		text *string
		most int
	}{{"keeper", &a.Keeper, webui.MaxKeeper}, {"rules", &a.Rules, webui.MaxRules}} {
		if *t.text = strings.TrimSpace(*t.text); len(*t.text) > t.most {
			return About{}, fmt.Errorf("--%s is %d bytes long, more than %d: say it shorter", t.flag, len(*t.text), t.most)
		}
		*t.text = record.CleanText(*t.text, t.most)
	}
	// Phones must find the network under just this name.
	if len(a.WiFi) > webui.MaxSSID || record.CleanLine(a.WiFi, webui.MaxSSID) != a.WiFi {
		return About{}, fmt.Errorf("--wifi %q is no name of a network: up to %d bytes that can be seen", a.WiFi, webui.MaxSSID)
	}
	return a, nil
}
