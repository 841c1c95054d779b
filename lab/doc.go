// Package lab tries the real program on real networks that it makes itself:
// Linux network namespaces joined by a bridge, one box to a namespace, each with
// its own host name, data folder and home. It owns the networks, the boxes'
// processes and the input they are fed; it knows nothing of how a box works
// inside and touches it only where people do: its web page, its folder, its
// command line, its plug.
//
//	           namespace bcn-TEST-PID-br
//	┌─────────────────────────────────────────────┐
//	│                 bridge br0                  │
//	└──p1──────────p2──────────p3──────────p4─────┘
//	   │ veth      │           │           │
//	┌──┴───┐    ┌──┴───┐    ┌──┴───┐    ┌──┴────┐
//	│ eth0 │    │ eth0 │    │ eth0 │    │ eth0  │   169.254.77.N/16
//	│      │    │      │    │      │    │       │   fe80::ff:fe00:77NN/64
//	│ box  │    │ box  │    │ box  │    │ phone │   no route to anywhere
//	└──────┘    └──────┘    └──────┘    └───────┘
//	…-PID-1     …-PID-2     …-PID-3     …-PID-4
//
// A cable is cut by taking its port off the bridge; two hosts are kept apart,
// while both reach a third, by isolating their ports. The root namespace is
// never touched, and what a test made is gone when it ends; what a killed run
// left behind, the next one removes.
//
// The tests need root, Linux and the tools named in .ci/run. They have the build
// tag lab, so that go test ./... stays quick and needs no rights:
//
//	go test -tags lab ./lab
//
// Where they cannot run they fail. BOUCAN_BIN names a program to try instead of
// the one built from the tree.
package lab
