//go:build unix

package process_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/pkg/testkit/process"
)

const (
	parentEnv = "HOLDFAST_TEST_ACT_AS_PARENT"
	patience  = 20 * time.Second
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		actAsParent(dir)
	}
	testkit.Main(m)
}

// actAsParent is the other test binary of TestChildDiesWithItsParent.
func actAsParent(dir string) {
	child, err := process.Start(process.Command{Path: "/bin/sh", Args: []string{"-c", "sleep 1000 & wait"}, Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	// Ending a thread must not count as the parent's death.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
	}()
	<-ended
	fmt.Println(child.PID())
	<-child.Done()
	os.Exit(1)
}

func start(t *testing.T, script string) *process.Process {
	t.Helper()
	p, err := process.Start(process.Command{Path: "/bin/sh", Args: []string{"-c", script}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestChildDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"="+t.TempDir())
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent said nothing: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent said %q", line)
	}
	if !alive(pid) {
		t.Fatalf("child %d is gone before its parent", pid)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	testkit.Eventually(t, patience, func() bool { return !alive(pid) }, "the end of the child")
}

// alive reports whether a process runs; one that nobody has reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestStopAsksFirst(t *testing.T) {
	p := start(t, `trap 'echo in order; exit 3' TERM; echo ready; while :; do sleep 0.01; done`)
	testkit.Eventually(t, patience, func() bool { return strings.Contains(p.Log(), "ready") }, "the program")
	p.Stop(syscall.SIGTERM, patience)
	if !strings.Contains(p.Log(), "in order") {
		t.Errorf("log: %q", p.Log())
	}
	if p.Err() == nil || !strings.Contains(p.Err().Error(), "exit status 3") {
		t.Errorf("ended with %v, want exit status 3", p.Err())
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	p := start(t, `trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	testkit.Eventually(t, patience, func() bool { return strings.Contains(p.Log(), "ready") }, "the program")
	if !p.Running() || p.Err() != nil {
		t.Fatalf("running %v, %v", p.Running(), p.Err())
	}
	p.Stop(syscall.SIGTERM, 10*time.Millisecond)
	if p.Running() {
		t.Error("it still runs")
	}
	p.Stop(syscall.SIGTERM, 0) // again is harmless
	p.Kill()
}

func TestStopResumesWhatIsPaused(t *testing.T) {
	p := start(t, `trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done`)
	testkit.Eventually(t, patience, func() bool { return strings.Contains(p.Log(), "ready") }, "the program")
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Stop(syscall.SIGTERM, patience)
	if p.Err() == nil || !strings.Contains(p.Err().Error(), "exit status 3") {
		t.Errorf("ended with %v, want exit status 3", p.Err())
	}
}

func TestLogKeepsTheEnd(t *testing.T) {
	p := start(t, `i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done`)
	<-p.Done()
	log := p.Log()
	if !strings.HasSuffix(log, "line 1999\n") || strings.Contains(log, "line 0\n") {
		t.Errorf("log of %d bytes ends with %q", len(log), log[max(0, len(log)-20):])
	}
}

func TestStartFailsForWhatIsNotThere(t *testing.T) {
	if _, err := process.Start(process.Command{Path: "/no/such/program", Dir: t.TempDir()}); err == nil {
		t.Error("a program that does not exist was started")
	}
	if _, err := process.Start(process.Command{Path: "/bin/sh", Dir: "/no/such/folder"}); err == nil {
		t.Error("a program was started in a folder that does not exist")
	}
}
