package port

import (
	"net"
	"sync"
	"testing"
)

func TestClaimsAreDistinct(t *testing.T) {
	const claims = 200
	var (
		mu   sync.Mutex
		seen = map[int]bool{}
		wg   sync.WaitGroup
	)
	for range claims {
		wg.Go(func() {
			claim, err := New()
			if err != nil {
				t.Errorf("New: %v", err)
				return
			}
			t.Cleanup(claim.Release)
			mu.Lock()
			defer mu.Unlock()
			if seen[claim.Number] {
				t.Errorf("port %d was claimed twice", claim.Number)
			}
			seen[claim.Number] = true
		})
	}
	wg.Wait()
}

func TestClaimedPortIsLockedUntilReleased(t *testing.T) {
	claim, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := acquire(claim.Number); err == nil {
		again.release()
		t.Fatalf("port %d could be locked while claimed", claim.Number)
	}
	claim.Release()
	again, err := acquire(claim.Number)
	if err != nil {
		t.Fatalf("port %d is still locked after Release: %v", claim.Number, err)
	}
	again.release()
}

func TestPortIsNotBindableWhileListening(t *testing.T) {
	claim, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(claim.Release)
	listener, err := net.Listen("tcp", claim.Addr())
	if err != nil {
		t.Fatalf("listen on the claimed port: %v", err)
	}
	if bindable(claim.Number) {
		t.Error("a port with a listener passes for free")
	}
	_ = listener.Close()
	if !bindable(claim.Number) {
		t.Error("a port whose listener closed does not pass for free")
	}
}
