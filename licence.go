// Package boucan is the root of the module, and holds what goes with the program
// wherever it goes.
package boucan

import _ "embed"

// Licence is the text of the GNU General Public License, version 3.
//
//go:embed LICENSE
var Licence string
