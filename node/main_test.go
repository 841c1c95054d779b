package node

import (
	"os"
	"testing"

	"boucan/lab/alone"
)

func TestMain(m *testing.M) { os.Exit(alone.Split(m, 4)) }
