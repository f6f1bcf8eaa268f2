package hook

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// raceLine is one request that a real EMQX made while clients raced.
type raceLine struct {
	Hook    string         `json:"hook"` // authn, event or truth
	Ms      float64        `json:"ms"`
	Body    map[string]any `json:"body"`
	Answer  raceAnswer     `json:"answer"`
	Clients []raceClient   `json:"clients"`
	Players int            `json:"players"`
}

type raceAnswer struct {
	Attrs map[string]string `json:"client_attrs"`
}

type raceClient struct {
	ClientID string `json:"clientid"`
}

func (l raceLine) text(field string) string { s, _ := l.Body[field].(string); return s }
func (l raceLine) player() string           { return l.text("clientid") }
func (l raceLine) connects() bool           { return l.text("event") == clientConnected }

// epoch is the one that the recording hook had handed out.
func (l raceLine) epoch() string {
	if l.Hook == "authn" {
		return l.Answer.Attrs["epoch"]
	}
	attrs, _ := l.Body["client_attrs"].(map[string]any)
	s, _ := attrs["epoch"].(string)
	return s
}

// race is one recording: what the hook heard, and what the broker knew at the
// end.
type race struct {
	name    string
	lines   []raceLine
	players map[string]bool
	online  map[string]bool // the broker's own list
	total   int             // players, those the broker never heard of included
}

func races(tb testing.TB) []race {
	tb.Helper()
	files, err := filepath.Glob("testdata/races/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		tb.Fatalf("races: %v, %v", files, err)
	}
	var all []race
	for _, name := range files {
		all = append(all, readRace(tb, name))
	}
	return all
}

func readRace(tb testing.TB, name string) race {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	r := race{name: filepath.Base(name), players: map[string]bool{}, online: map[string]bool{}}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var l raceLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		if l.Hook == "truth" {
			r.total = l.Players
			for _, c := range l.Clients {
				r.online[c.ClientID] = true
			}
			continue
		}
		r.players[l.player()] = true
		r.lines = append(r.lines, l)
	}
	if err := lines.Err(); err != nil || len(r.online) == 0 {
		tb.Fatalf("%s: %v, %d clients in the truth", name, err, len(r.online))
	}
	return r
}

// asRecorded is the order in which the requests arrived.
func asRecorded(r race) []raceLine { return r.lines }

// shuffledAndDoubled lets everybody log in as recorded, and then sends all
// events in a random order, a third of them twice.
func shuffledAndDoubled(seed uint64) func(race) []raceLine {
	return func(r race) []raceLine {
		random := rand.New(rand.NewPCG(seed, 1))
		var logins, events []raceLine
		for _, l := range r.lines {
			if l.Hook == "authn" {
				logins = append(logins, l)
				continue
			}
			events = append(events, l)
			if random.IntN(3) == 0 {
				events = append(events, l)
			}
		}
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		return append(logins, events...)
	}
}

// replay plays a recording through the hook. Tokens are real, and the epochs
// of the recording become those that this hook hands out for the same logins.
func replay(t *testing.T, r *rig, clock *testClock, lines []raceLine) {
	t.Helper()
	start := clock.now()
	tokens, epochs := map[string]string{}, map[string]string{}
	for _, l := range lines {
		clock.reach(start + int64(l.Ms))
		player := l.player()
		key := player + "/" + l.epoch()
		if l.Hook == "authn" {
			if tokens[player] == "" {
				tokens[player] = r.token(t, player)
			}
			l.Body["password"] = tokens[player]
			answer := decision(t, r.post("/emqx/auth", encode(t, l.Body)))
			if answer.Result != api.ResultAllow {
				t.Fatalf("%s was refused", player)
			}
			epochs[key] = answer.ClientAttrs.Epoch
			continue
		}
		if epochs[key] == "" {
			t.Fatalf("an event of %s with epoch %s, which nobody handed out", player, l.epoch())
		}
		event := row(l.Body).with(row{"client_attrs": map[string]string{"player": player, "epoch": epochs[key]}})
		if status := r.send(t, event); status != http.StatusNoContent {
			t.Fatalf("%v: %d", event, status)
		}
	}
}

// settle moves the clock past the handover of every takeover, and does what
// falls due on the way, as the sweep does.
func settle(t *testing.T, r *rig, clock *testClock) {
	t.Helper()
	all := make([]int, shards)
	for i := range all {
		all[i] = i
	}
	const step = 5 * time.Second // less than what counts as an outage
	for end := clock.now() + (session.Defaults().Handover + 2*step).Milliseconds(); clock.now() < end; clock.advance(step) {
		passes, err := r.keeper.Sweep(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		for _, pass := range passes {
			if pass.Err != nil {
				t.Fatal(pass.Err)
			}
			if _, err := r.keeper.Due(t.Context(), pass.Members); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// differing lists the players about whom belief and the broker disagree.
func (r race) differing(online func(player string) bool) []string {
	var wrong []string
	for player := range r.players {
		if online(player) != r.online[player] {
			wrong = append(wrong, player)
		}
	}
	for player := range r.online {
		if !r.players[player] {
			wrong = append(wrong, player)
		}
	}
	slices.Sort(wrong)
	return wrong
}

// TestRacesAgreeWithTheBroker is the proof of the session protocol against a
// real EMQX: whatever the order of the events, presence ends as the broker's
// own list has it, for every player.
func TestRacesAgreeWithTheBroker(t *testing.T) {
	orders := map[string]func(race) []raceLine{"as recorded": asRecorded}
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		orders[fmt.Sprintf("shuffled and doubled %d", seed)] = shuffledAndDoubled(seed)
	}
	for _, recording := range races(t) {
		for order, arrange := range orders {
			t.Run(recording.name+" "+order, func(t *testing.T) {
				clock := newTestClock(time.Now())
				rig := newRig(t, shared.Server(t).URL(), withClock(clock))
				agree(t, rig, recording, clock, arrange(recording))
			})
		}
	}
}

// TestRacesOnMiniredis plays one recording with the other Redis.
func TestRacesOnMiniredis(t *testing.T) {
	if testing.Short() {
		t.Skip("the real Redis is faster")
	}
	recording := races(t)[0]
	clock := newTestClock(time.Now())
	rig := newRig(t, "redis://"+miniredis.RunT(t).Addr(), withClock(clock))
	agree(t, rig, recording, clock, shuffledAndDoubled(42)(recording))
}

func agree(t *testing.T, rig *rig, recording race, clock *testClock, lines []raceLine) {
	t.Helper()
	replay(t, rig, clock, lines)
	settle(t, rig, clock)
	wrong := recording.differing(func(player string) bool {
		return rig.record(t, player).Presence == session.Connected
	})
	if len(wrong) > 0 {
		t.Errorf("wrong about %d of %d: %v", len(wrong), recording.total, wrong)
	}
	t.Logf("%d of %d agree, %d online, %d requests", recording.total-len(wrong), recording.total, len(recording.online), len(lines))
}

// TestSimplerRulesDisagree shows that these recordings can tell a wrong rule
// from a right one: the rules that come to mind first fail on each of them.
func TestSimplerRulesDisagree(t *testing.T) {
	for _, recording := range races(t) {
		for name, rule := range map[string]func([]raceLine) map[string]bool{
			"the last event wins": lastEventWins, "epochs are in order": epochsInOrder,
		} {
			for order, arrange := range map[string]func(race) []raceLine{"as recorded": asRecorded, "shuffled": shuffledAndDoubled(1)} {
				online := rule(arrange(recording))
				wrong := recording.differing(func(player string) bool { return online[player] })
				t.Logf("%s, %s, %s: wrong about %d of %d", recording.name, order, name, len(wrong), recording.total)
				if len(wrong) == 0 {
					t.Errorf("%s, %s: %q agrees: the replay could not have failed", recording.name, order, name)
				}
			}
		}
	}
}

// lastEventWins believes whatever arrived last.
func lastEventWins(lines []raceLine) map[string]bool {
	online := map[string]bool{}
	for _, l := range lines {
		if l.Hook == "event" {
			online[l.player()] = l.connects()
		}
	}
	return online
}

// epochsInOrder believes that a login that came later is the newer
// connection, and ignores events of older ones.
func epochsInOrder(lines []raceLine) map[string]bool {
	online, newest := map[string]bool{}, map[string]string{}
	for _, l := range lines {
		if l.Hook != "event" || l.epoch() < newest[l.player()] {
			continue
		}
		over := l.epoch() == newest[l.player()] && !online[l.player()]
		newest[l.player()] = l.epoch()
		online[l.player()] = l.connects() && !over
	}
	return online
}
