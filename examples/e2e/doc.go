// Package e2e holds the end-to-end tests: the built binaries, real git
// servers and a real control plane, driven as a user would.
package e2e
