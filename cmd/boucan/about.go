package main

import (
	"os"
	"path/filepath"

	"boucan/node"
)

// sourceName is the file with the source code that releases put beside the program.
const sourceName = "boucan-source.tar.xz"

// aboutFlags are what the operator says of the box on its page.
type aboutFlags struct {
	Keeper string `help:"Who keeps this box, as people read it on its page." placeholder:"TEXT" env:"BOUCAN_KEEPER"`
	Rules  string `help:"What is wanted on this box and what is not, as people read it on its page. Lines are kept." placeholder:"TEXT" env:"BOUCAN_RULES"`
	WiFi   string `name:"wifi" help:"Name of this box's open Wi-Fi, for the poster." placeholder:"NAME" env:"BOUCAN_WIFI"`
	Source string `help:"The program's source code, to be taken from the box. Default: boucan-source.tar.xz beside the program, where there is one." placeholder:"FILE" env:"BOUCAN_SOURCE" type:"path"`
}

func (f aboutFlags) about() node.About {
	a := node.About{Keeper: f.Keeper, Rules: f.Rules, WiFi: f.WiFi, Source: f.Source}
	if program, err := os.Executable(); a.Source == "" && err == nil {
		a.Source = filepath.Join(filepath.Dir(program), sourceName)
	}
	return a
}
