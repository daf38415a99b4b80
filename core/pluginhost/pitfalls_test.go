//go:build unix

package pluginhost

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// serveTests is where the plugin's side is tested.
const serveTests = "../../sdk/internal/serve"

// pitfalls are the ways known to go wrong with go-plugin, by their number in
// the names of tests, and the test that fails if we go wrong so. The few
// without a test say why they do not concern us.
var pitfalls = []struct {
	what string
	test string // in this package, or in dir
	dir  string
	why  string
}{
	1:  {what: "a log line with a @message that is no string panics in the host", test: "TestPitfall01HostileLogLines"},
	2:  {what: "a hung plugin blocks Ping and Kill", test: "TestPitfall02HungPluginIsReplaced"},
	3:  {what: "plugins outlive a host that was killed", test: "TestPitfall03NothingOutlivesAKilledHost"},
	4:  {what: "Kill ends the leader only, and its children hold the pipes", test: "TestPitfall04ChildThatLeftTheGroupDoesNotBlockWait"},
	5:  {what: "calls under way have two seconds to end", test: "TestPitfall05CallsUnderWayMayEnd"},
	6:  {what: "a long line on standard output blocks the plugin for good", test: "TestPitfall06StandardOutputIsDrained"},
	7:  {what: "long lines on standard error are torn", test: "TestPitfall07LongLinesAreCutAndFlagged"},
	8:  {what: "servers receive 4 MiB and clients send any amount", test: "TestPitfall08LargeMessagesPassBothWays"},
	9:  {what: "a broker connection must be dialed within five seconds, and may leak", test: "TestPitfall09And11HostServicesOverMutualTLS"},
	10: {what: "the broker's multiplexer is slow and can hang", test: "TestPitfalls10And13And19And20And27Configuration"},
	11: {what: "the broker's connections were outside the mutual TLS", test: "TestPitfall11StrangersCannotCallAPlugin"},
	12: {what: "reattaching loses versioned plugins", why: "the host attaches to no process that it did not start"},
	13: {what: "the host's environment leaks into plugins, and wins", test: "TestPitfall13NothingOfTheHostsEnvironmentLeaks"},
	14: {what: "plugins get the host's standard input", test: "TestPitfall14NoStandardInput"},
	15: {what: "the directory for sockets is ignored with Cmd", test: "TestPitfall15SocketsAreInTheRunDirectory"},
	16: {what: "paths of sockets have about 100 bytes", test: "TestPitfall16LongSocketPath"},
	17: {what: "sockets stay behind after a kill", test: "TestPitfall17SocketsAreRemovedWithTheirProcess"},
	18: {what: "there may be no writable /tmp", test: "TestPitfall18EachProcessHasItsOwnTMPDIR"},
	19: {what: "managed clients are kept for ever", test: "TestPitfalls10And13And19And20And27Configuration"},
	20: {what: "a client's configuration serves one start only", test: "TestPitfall20PluginCanBeStartedAgainAndAgain"},
	21: {what: "Start cannot be cancelled", test: "TestPitfall21StartCanBeCancelled"},
	22: {what: "signals to the group end plugins before their host", test: "TestPitfall22SignalsToTheGroupDoNotEndAPlugin"},
	23: {what: "writing to a standard error that the host closed ends the plugin", test: "TestStandardErrorIsClosed", dir: serveTests},
	24: {what: "nobody is told when a process ends", test: "TestPitfall24ExitIsNoticedAndDescribed"},
	25: {what: "a crash is logged line by line, as errors of the library", test: "TestPitfall25CrashIsOneRecord"},
	26: {what: "on Windows plugins listen on TCP ports", why: "the daemon and its plugins run on Unix systems only"},
	27: {what: "net/rpc is accepted unless it is ruled out", test: "TestPitfalls10And13And19And20And27Configuration"},
	28: {what: "gRPC reflection is always served", why: "it is behind mutual TLS: only the host reaches it"},
	29: {what: "servers punish keepalive pings", why: "no connection sends them: DialOptions sets none, and health is asked for by a call"},
	30: {what: "a binary can be swapped between the checksum and its start", test: "TestPitfall30SwappedFileDoesNotRun"},
	31: {what: "all plugins of a protocol version must be of one transport", why: "there is one entry, and it is gRPC"},
	32: {what: "a panic in a handler ends the process", test: "TestPitfall32PanicInAHandlerHarmsOnlyItsCall"},
}

// TestPitfallsAreCovered checks that each test of the table exists.
func TestPitfallsAreCovered(t *testing.T) {
	tests := map[string]map[string]bool{".": testsIn(t, "."), serveTests: testsIn(t, serveTests)}
	for n, p := range pitfalls[1:] {
		dir := p.dir
		if dir == "" {
			dir = "."
		}
		switch {
		case (p.test == "") == (p.why == ""):
			t.Errorf("pitfall %d: wants either a test or a reason", n+1)
		case p.test != "" && !tests[dir][p.test]:
			t.Errorf("pitfall %d: there is no %s in %s", n+1, p.test, dir)
		}
	}
}

// testsIn returns the names of the test functions in a directory.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("tests in %s: %v, %v", dir, files, err)
	}
	names, declared := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(t `)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
	}
	return names
}
