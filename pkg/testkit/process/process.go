//go:build unix

// Package process runs server programs for tests. A program started here ends
// with the test binary, however that ends (on Linux; elsewhere only when the
// test stops it).
package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const logTail = 4 << 10

// Command says what to run.
type Command struct {
	Path string
	Args []string
	Dir  string   // working folder, required; the log goes there too
	Env  []string // the whole environment; nil inherits the test's

	// User runs the program as somebody else; nil keeps the test's user.
	User *syscall.Credential

	// DeathSignal is sent when the test binary dies; zero means SIGKILL.
	DeathSignal syscall.Signal
}

// Process is a program that was started. Its methods are safe for concurrent
// use and do nothing once the program has ended.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // set before done is closed
}

// Start runs the command with its output in a file below Dir.
func Start(c Command) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(c.Dir, filepath.Base(c.Path)+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the log of %s: %w", c.Path, err)
	}
	defer func() { _ = log.Close() }() // the child has its own copy

	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, c.Env, log, log
	signal := c.DeathSignal
	if signal == 0 {
		signal = syscall.SIGKILL
	}
	cmd.SysProcAttr = attributes(c.User, signal)

	p := &Process{cmd: cmd, log: log.Name(), done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return p, nil
}

// run holds the thread that forked until the program has ended: the kernel
// takes the end of that thread, not of the process, for the parent's death.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended and its ports are free again.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the program has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err returns how the program ended; nil while it runs.
func (p *Process) Err() error {
	if p.Running() {
		return nil
	}
	return p.err
}

// Signal sends a signal.
func (p *Process) Signal(signal os.Signal) error {
	if !p.Running() {
		return nil
	}
	if err := p.cmd.Process.Signal(signal); err != nil && p.Running() {
		return fmt.Errorf("send %v to %s: %w", signal, filepath.Base(p.cmd.Path), err)
	}
	return nil
}

// Kill ends the program at once (SIGKILL) and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop asks the program to end by signal, kills it if it has not after
// patience, and waits until it is gone. A paused program is resumed first.
func (p *Process) Stop(signal os.Signal, patience time.Duration) {
	_ = p.Signal(syscall.SIGCONT)
	_ = p.Signal(signal)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
}

// Log returns the last few kilobytes of the program's output.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(text[max(0, len(text)-logTail):])
}
