// Package charts finds charts, downloads them, and checks that they are what
// they should be.
package charts
