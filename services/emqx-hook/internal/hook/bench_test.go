package hook

import (
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// parallel runs f and reports how long the slowest hundredth took.
func parallel(b *testing.B, f func(i int)) {
	b.Helper()
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1)) - 1
			start := time.Now()
			f(i)
			took[i] = time.Since(start)
		}
	})
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
}

const benchPlayers = 1000

func benchRig(b *testing.B) (r *rig, names, tokens []string) {
	b.Helper()
	r = newRig(b, shared.Server(b).URL())
	for i := range benchPlayers {
		names = append(names, "player-"+strconv.Itoa(i))
		tokens = append(tokens, r.token(b, names[i]))
		r.enter(b, names[i])
	}
	return r, names, tokens
}

// BenchmarkAuthenticate answers logins of players who have a session, on a
// real Redis.
func BenchmarkAuthenticate(b *testing.B) {
	r, names, tokens := benchRig(b)
	bodies := make([][]byte, benchPlayers)
	for i := range bodies {
		bodies[i] = encode(b, map[string]string{"clientid": names[i], "username": names[i], "password": tokens[i], "peerhost": "127.0.0.1"})
	}
	parallel(b, func(i int) {
		if answer := r.post("/emqx/auth", bodies[i%benchPlayers]); answer.Body.Len() < 50 {
			b.Errorf("%d %s", answer.Code, answer.Body)
		}
	})
}

// BenchmarkWebhook takes a connection's two events in turn.
func BenchmarkWebhook(b *testing.B) {
	r, names, _ := benchRig(b)
	parallel(b, func(i int) {
		player, turn := names[i/2%benchPlayers], i/2/benchPlayers
		event := connectedRow(player, strconv.Itoa(1+turn))
		if i%2 == 1 {
			event = disconnectedRow(player, strconv.Itoa(1+turn), "tcp_closed")
		}
		if status := r.send(b, event); status != http.StatusNoContent {
			b.Errorf("%d", status)
		}
	})
}
