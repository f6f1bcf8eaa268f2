package planner

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-games/holdfast/services/matchmaking/internal/queue"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/rules"
)

var update = flag.Bool("update", false, "write the transcripts again")

// TestTranscripts plays the stories in testdata: tickets come, time passes,
// and what Plan says is written below each "plan" line.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(text) && !*update {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
		})
	}
}

type story struct {
	rules   rules.Queue
	tickets []queue.Ticket
	now     int64
}

// play runs a transcript and returns it with the answers that came.
func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var s story
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		line := scanner.Text()
		words := strings.Fields(line)
		if strings.HasPrefix(line, "  ") { // an answer: written anew
			continue
		}
		fmt.Fprintln(&out, line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		switch words[0] {
		case "queue":
			s.rules = storyRules(t, strings.TrimPrefix(line, "queue "))
		case "at":
			s.now = seconds(t, words[1])
		case "ticket":
			s.tickets = append(s.tickets, storyTicket(t, s.now, words[1:]))
		case "plan":
			s.plan(&out)
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return out.String()
}

func (s *story) plan(out *strings.Builder) {
	matches := Plan(s.rules, s.tickets, s.now)
	for _, m := range matches {
		var names []string
		for _, ticket := range m {
			names = append(names, ticket.ID)
		}
		fmt.Fprintf(out, "  match %s\n", strings.Join(names, " "))
	}
	taken := map[string]bool{}
	for _, m := range matches {
		for _, ticket := range m {
			taken[ticket.ID] = true
		}
	}
	s.tickets = slices.DeleteFunc(s.tickets, func(t queue.Ticket) bool { return taken[t.ID] })
	for _, ticket := range s.tickets {
		fmt.Fprintf(out, "  waits %s\n", ticket.ID)
	}
}

func storyRules(t *testing.T, text string) rules.Queue {
	t.Helper()
	set, err := rules.Parse([]byte("queues: {q: " + text + "}"))
	if err != nil {
		t.Fatal(err)
	}
	q, _ := set.Queue("q")
	return q
}

func seconds(t *testing.T, text string) int64 {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d.Milliseconds()
}

// storyTicket reads "name key=value …".
func storyTicket(t *testing.T, now int64, words []string) queue.Ticket {
	t.Helper()
	ticket := queue.Ticket{ID: words[0], Player: words[0], QueuedAt: now, State: queue.Waiting, Attributes: map[string][]string{}}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "rating":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			ticket.Rating = n
		case "player":
			ticket.Player = value
		case "reach":
			ticket.ReachUntil = seconds(t, value)
		case "after":
			ticket.After = seconds(t, value)
		case "state":
			ticket.State = queue.State(value)
		default:
			ticket.Attributes[key] = strings.Split(value, ",")
		}
	}
	return ticket
}

func someRules() *rapid.Generator[rules.Queue] {
	return rapid.Custom(func(t *rapid.T) rules.Queue {
		q := rules.Queue{Min: 2, Max: 2}
		if rapid.Bool().Draw(t, "rated") {
			q.Rating = &rules.Window{
				Start: rapid.Int64Range(0, 100).Draw(t, "start"), Grow: rapid.Int64Range(0, 50).Draw(t, "grow"),
				Every: time.Second, Cap: rapid.Int64Range(100, 300).Draw(t, "cap"),
			}
		} else {
			q.Max = rapid.IntRange(2, 5).Draw(t, "max")
			q.Min = rapid.IntRange(2, q.Max).Draw(t, "min")
			q.FillTime = 5 * time.Second
		}
		if rapid.Bool().Draw(t, "equal") {
			q.Equal = []string{"version"}
		}
		return q
	})
}

const planTime = 100_000

func someTickets(t *rapid.T) []queue.Ticket {
	n := rapid.IntRange(0, 25).Draw(t, "n")
	tickets := make([]queue.Ticket, n)
	for i := range tickets {
		tickets[i] = queue.Ticket{
			ID: fmt.Sprintf("t%02d", i), Player: fmt.Sprintf("p%02d", rapid.IntRange(0, 30).Draw(t, "player")),
			QueuedAt: planTime - rapid.Int64Range(0, 20).Draw(t, "waited")*1000,
			State:    rapid.SampledFrom([]queue.State{queue.Waiting, queue.Waiting, queue.Waiting, queue.Held}).Draw(t, "state"),
			Rating:   rapid.Int64Range(0, 40).Draw(t, "rating") * 10,
			Attributes: map[string][]string{
				"version": {rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version")},
			},
			ReachUntil: rapid.SampledFrom([]int64{0, 0, 0, planTime, planTime + 1}).Draw(t, "reach"),
			After:      rapid.SampledFrom([]int64{0, 0, 0, planTime, planTime + 1}).Draw(t, "after"),
		}
	}
	slices.SortFunc(tickets, order)
	return tickets
}

// legal is the rules again, in the plainest words.
func legal(q rules.Queue, match []queue.Ticket) bool {
	players := map[string]bool{}
	for _, t := range match {
		if t.State != queue.Waiting || (t.ReachUntil != 0 && t.ReachUntil <= planTime) || t.After > planTime || players[t.Player] {
			return false
		}
		players[t.Player] = true
		if len(q.Equal) > 0 && t.Attributes["version"][0] != match[0].Attributes["version"][0] {
			return false
		}
	}
	if q.Rating != nil {
		gap := max(match[0].Rating-match[1].Rating, match[1].Rating-match[0].Rating)
		return len(match) == 2 && gap <= min(q.Rating.At(planTime-match[0].QueuedAt), q.Rating.At(planTime-match[1].QueuedAt))
	}
	oldest := slices.MinFunc(match, order)
	return len(match) == q.Max || len(match) >= q.Min && len(match) < q.Max && planTime-oldest.QueuedAt >= q.FillTime.Milliseconds()
}

func TestPlanIsLegalMaximalAndOldestFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, tickets := someRules().Draw(t, "rules"), someTickets(t)
		matches := Plan(q, tickets, planTime)
		matched := map[string]int{}
		for i, m := range matches {
			if !legal(q, m) {
				t.Fatalf("illegal match %v", m)
			}
			for _, ticket := range m {
				if _, twice := matched[ticket.ID]; twice {
					t.Fatalf("ticket %s is in two matches", ticket.ID)
				}
				matched[ticket.ID] = i
			}
			if i > 0 && m[0].Older(matches[i-1][0]) {
				t.Fatalf("match %d is older than the one before it", i)
			}
		}
		var left []queue.Ticket
		for _, ticket := range matchable(tickets) {
			if _, ok := matched[ticket.ID]; !ok {
				left = append(left, ticket)
			}
		}
		if m := legalAmong(q, left); m != nil {
			t.Fatalf("nobody matched %v, which is legal", m)
		}
		for _, waiting := range left {
			for _, m := range matches {
				if passedOver(q, waiting, m) {
					t.Fatalf("%v waits on, though older than all of %v and fit for it", waiting, m)
				}
			}
		}
	})
}

// matchable is who may be matched, the ghosts of earlier lives left out.
func matchable(tickets []queue.Ticket) []queue.Ticket {
	var out []queue.Ticket
	for i, t := range tickets {
		ghost := slices.ContainsFunc(tickets[i+1:], func(later queue.Ticket) bool { return later.Player == t.Player })
		if !ghost && t.Matchable(planTime) {
			out = append(out, t)
		}
	}
	return out
}

func order(a, b queue.Ticket) int {
	switch {
	case a.Older(b):
		return -1
	case b.Older(a):
		return 1
	default:
		return 0
	}
}

// legalAmong looks for any match among tickets, by brute force.
func legalAmong(q rules.Queue, tickets []queue.Ticket) []queue.Ticket {
	for i := range tickets {
		if q.Rating != nil {
			for _, other := range tickets[i+1:] {
				if m := []queue.Ticket{tickets[i], other}; legal(q, m) {
					return m
				}
			}
			continue
		}
		m := []queue.Ticket{tickets[i]}
		for _, other := range tickets[i+1:] {
			if len(q.Equal) == 0 || other.Attributes["version"][0] == m[0].Attributes["version"][0] {
				m = append(m, other)
			}
			if legal(q, m) {
				return m
			}
		}
	}
	return nil
}

// passedOver reports whether a ticket is older than all of a match and could
// have had the place of one of them.
func passedOver(q rules.Queue, t queue.Ticket, match []queue.Ticket) bool {
	if slices.ContainsFunc(match, func(other queue.Ticket) bool { return other.Older(t) }) {
		return false
	}
	for i := range match {
		instead := slices.Clone(match)
		instead[i] = t
		if legal(q, instead) {
			return true
		}
	}
	return false
}

func TestPlanTakesTheNearestOfEquallyEntitled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := rules.Queue{Min: 2, Max: 2, Rating: &rules.Window{Start: 1000}}
		tickets := someTickets(t)
		pool := matchable(tickets)
		for _, m := range Plan(q, tickets, planTime) {
			chooser, partner := m[0], m[1]
			for _, other := range pool {
				if other.ID == chooser.ID || other.ID == partner.ID {
					continue
				}
				gap, best := abs(other.Rating-chooser.Rating), abs(partner.Rating-chooser.Rating)
				if gap < best || gap == best && other.Older(partner) {
					t.Fatalf("%s met %s, though %s was nearer or older", chooser.ID, partner.ID, other.ID)
				}
			}
			pool = slices.DeleteFunc(pool, func(t queue.Ticket) bool { return t.ID == chooser.ID || t.ID == partner.ID })
		}
	})
}

func abs(n int64) int64 { return max(n, -n) }

func TestArrivalOrderDoesNotDecideWhetherAMatchForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, tickets := someRules().Draw(t, "rules"), someTickets(t)
		for i := range tickets {
			tickets[i].Player = tickets[i].ID
		}
		var pool []queue.Ticket
		for _, i := range rapid.Permutation(indexes(len(tickets))).Draw(t, "order") {
			pool = append(pool, tickets[i])
			slices.SortFunc(pool, order)
			taken := map[string]bool{}
			for _, m := range Plan(q, pool, planTime) {
				for _, ticket := range m {
					taken[ticket.ID] = true
				}
			}
			pool = slices.DeleteFunc(pool, func(t queue.Ticket) bool { return taken[t.ID] })
			if m := legalAmong(q, matchable(pool)); m != nil {
				t.Fatalf("%v were left waiting for each other", m)
			}
		}
	})
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func BenchmarkPlan(b *testing.B) {
	window := rules.Queue{Name: "ranked", Min: 2, Max: 2, Rating: &rules.Window{Start: 150, Grow: 50, Every: 30 * time.Second, Cap: 600}}
	sparse := window
	sparse.Rating = &rules.Window{Start: 0, Grow: 0, Every: time.Second, Cap: 0}
	fill := rules.Queue{Name: "casual", Min: 2, Max: 4, FillTime: 15 * time.Second}
	for name, q := range map[string]rules.Queue{"ranked": window, "nobodyFits": sparse, "casual": fill} {
		for _, n := range []int{1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				tickets := crowd(n)
				b.ReportAllocs()
				for b.Loop() {
					Plan(q, tickets, planTime*10)
				}
			})
		}
	}
}

// crowd is n tickets with different ratings, over a hundred seconds.
func crowd(n int) []queue.Ticket {
	source := rand.New(rand.NewPCG(1, 2))
	tickets := make([]queue.Ticket, n)
	for i := range tickets {
		name := strconv.Itoa(i)
		tickets[i] = queue.Ticket{
			ID: name, Player: name, State: queue.Waiting, Rating: source.Int64N(1 << 40),
			QueuedAt: planTime*10 - source.Int64N(100_000),
		}
	}
	slices.SortFunc(tickets, order)
	return tickets
}
