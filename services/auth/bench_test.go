package auth_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// onDatabases runs a benchmark on an instance for each kind of database, over
// HTTP and with several clients at once.
func onDatabases(b *testing.B, run func(b *testing.B, i *instance)) {
	b.Helper()
	for name, url := range map[string]func(*testing.B) string{
		"sqlite":   func(b *testing.B) string { b.Helper(); return "sqlite://" + filepath.Join(b.TempDir(), "players.db") },
		"postgres": func(b *testing.B) string { b.Helper(); return sharedPostgres.CreateDatabase(b) },
	} {
		b.Run(name, func(b *testing.B) {
			i := newInstance(b, "DATABASE_URL="+url(b))
			b.SetParallelism(8)
			run(b, i)
		})
	}
}

func BenchmarkLoginOfAKnownDevice(b *testing.B) {
	onDatabases(b, func(b *testing.B, i *instance) {
		b.Helper()
		const devices = 100
		for n := range devices {
			i.login(fmt.Sprint("device-", n))
		}
		var next atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i.login(fmt.Sprint("device-", next.Add(1)%devices))
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	})
}

func BenchmarkRefresh(b *testing.B) {
	onDatabases(b, func(b *testing.B, i *instance) {
		b.Helper()
		var clients atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			token := i.login(fmt.Sprint("device-", clients.Add(1))).RefreshToken
			for pb.Next() {
				token = i.renew(token).RefreshToken
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "refreshes/s")
	})
}
