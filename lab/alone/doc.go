// Package alone runs a package's tests in a network of their own with nothing but
// loopback, so that they meet no boxes but their own, and none in the neighbourhood
// meets theirs: another package's tests, or a box that somebody runs. Linux only;
// elsewhere, and where the system refuses a namespace, they run where they are.
package alone
