//go:build !linux

package node

// clockDisciplined and clockHasBattery say no where the system does not tell.
func clockDisciplined() bool { return false }

func clockHasBattery() bool { return false }
