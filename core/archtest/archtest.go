// Package archtest holds the architecture as tests: who may import whom,
// which modules exist and what they may require, and that every package says
// what it is. The rules are data, each with its reason, so that a failing
// test explains itself.
package archtest
