package tests

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/gorilla/websocket"

	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
)

// standalone is one standalone process with nothing but embedded parts.
type standalone struct {
	cmd      *exec.Cmd
	origin   string
	internal string
	welcome  []string
}

func startStandalone(t *testing.T, env ...string) *standalone {
	t.Helper()
	dir := t.TempDir()
	s := &standalone{cmd: exec.Command(filepath.Join(binDir, "standalone"))}
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "HOLDFAST_STANDALONE_HTTP_ADDR=127.0.0.1:0", "HOLDFAST_STANDALONE_INTERNAL_ADDR=127.0.0.1:0",
		"HOLDFAST_STANDALONE_MQTT_ADDR=127.0.0.1:0", "HOLDFAST_STANDALONE_MQTT_WS_ADDR=127.0.0.1:0", "HOLDFAST_LOG_LEVEL=error")
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	must(t, err)
	must(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		s.welcome = append(s.welcome, line)
		name, value, _ := strings.Cut(line, " ")
		value, _, _ = strings.Cut(strings.TrimSpace(value), " ")
		switch name {
		case "API":
			s.origin = value
		case "internal":
			s.internal = value
		}
		if strings.HasSuffix(line, `/api/session -H "Authorization: Bearer $TOKEN"`) {
			return s
		}
	}
	t.Fatalf("it said no more than %q", s.welcome)
	return nil
}

func TestStandaloneNeedsNothingAndSaysWhatToTry(t *testing.T) {
	s := startStandalone(t)
	script := "set -e\n"
	for _, line := range s.welcome {
		if strings.HasPrefix(line, "TOKEN=") || strings.HasPrefix(line, "curl") {
			script += line + "; echo\n"
		}
	}
	if n := strings.Count(script, "curl"); n != 3 {
		t.Fatalf("%d curl lines in %q", n, s.welcome)
	}
	testkit.Program(t, "curl")
	out, err := exec.CommandContext(within(t, patience), "bash", "-c", script).CombinedOutput()
	must(t, err)
	answers := strings.Fields(strings.TrimSpace(string(out)))
	var snapshot wire.Snapshot
	if err := json.Unmarshal([]byte(answers[len(answers)-1]), &snapshot); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(snapshot.Queue) != 1 || snapshot.Queue[0].Queue != "casual" {
		t.Errorf("after the three lines the session is %+v", snapshot)
	}
}

func TestStandalonePlaysTheStory(t *testing.T) {
	s := startStandalone(t)
	ada, bob := player.New(s.origin, "ada"), player.New(s.origin, "bob")
	must(t, ada.LogIn(within(t, patience)))
	must(t, bob.LogIn(within(t, patience)))
	adas, err := ada.Connect(within(t, patience))
	must(t, err)
	bobs, err := bob.Connect(within(t, patience))
	must(t, err)
	_, err = ada.Queue(within(t, patience), "duel")
	must(t, err)
	adas.Drop()
	adas, err = ada.Connect(within(t, patience))
	must(t, err)
	defer adas.Drop()
	_, err = bob.Queue(within(t, patience), "duel")
	must(t, err)
	found, err := adas.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	other, err := bobs.AwaitPush(within(t, patience), wire.MatchmakingMatchFound)
	must(t, err)
	if found.MatchID != other.MatchID {
		t.Errorf("ada is in %s, bob in %s", found.MatchID, other.MatchID)
	}
	bobs.Drop()
}

func TestStandaloneKeepsTheInsideInside(t *testing.T) {
	s := startStandalone(t)
	for _, path := range []string{"/emqx/auth", "/internal/sessions/x", "/metrics", "/livez", "/readyz", "/"} {
		res, err := fetch(t, s.origin+path)
		must(t, err)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound || res.Header.Get("Content-Type") != wire.ProblemMediaType {
			t.Errorf("%s: %s, %s", path, res.Status, res.Header.Get("Content-Type"))
		}
	}
}

func fetch(t *testing.T, url string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, url, http.NoBody)
	must(t, err)
	return (&http.Client{}).Do(r)
}

func TestStandaloneSpeaksMQTTOverWebSocket(t *testing.T) {
	s := startStandalone(t)
	p := player.New(s.origin, "in-a-browser")
	must(t, p.LogIn(within(t, patience)))
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	ws, res, err := dialer.DialContext(within(t, patience), p.Login.MQTT.WsURL, nil)
	must(t, err)
	_ = res.Body.Close()
	client := paho.NewClient(paho.ClientConfig{Conn: &stream{Conn: ws.NetConn(), ws: ws}})
	ack, err := client.Connect(within(t, patience), &paho.Connect{
		ClientID: p.ID(), Username: p.ID(), UsernameFlag: true, Password: []byte(p.Token), PasswordFlag: true,
		CleanStart: true, KeepAlive: 30,
	})
	must(t, err)
	if ack.ReasonCode != 0 {
		t.Errorf("refused with 0x%02x", ack.ReasonCode)
	}
	_ = client.Disconnect(&paho.Disconnect{})
}

// stream makes WebSocket messages one stream of bytes.
type stream struct {
	net.Conn
	ws      *websocket.Conn
	message io.Reader
}

func (s *stream) Read(b []byte) (int, error) {
	for {
		if s.message == nil {
			_, message, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			s.message = message
		}
		n, err := s.message.Read(b)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		s.message = nil
	}
}

func (s *stream) Write(b []byte) (int, error) {
	return len(b), s.ws.WriteMessage(websocket.BinaryMessage, b)
}

func (s *standalone) pollsWaiting(t *testing.T) int {
	t.Helper()
	res, err := fetch(t, s.internal+"/metrics")
	must(t, err)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "holdfast_session_polls_waiting "); ok {
			n, err := strconv.Atoi(value)
			must(t, err)
			return n
		}
	}
	t.Fatal("there is no such metric")
	return 0
}

func TestStandaloneStopsCleanly(t *testing.T) {
	s := startStandalone(t)
	p := player.New(s.origin, "who-waits")
	must(t, p.LogIn(within(t, patience)))
	snapshot, err := p.Session(within(t, patience))
	must(t, err)
	p.Retries = 0
	answered := make(chan error, 1)
	go func() { // a waiting poll must not hold up the end
		_, err := p.SessionAfter(t.Context(), snapshot.Version, patience)
		answered <- err
	}()
	testkit.Eventually(t, patience, func() bool { return s.pollsWaiting(t) == 1 }, "the poll waits")
	must(t, s.cmd.Process.Signal(syscall.SIGTERM))
	must(t, <-answered)
	must(t, s.cmd.Wait())
}
