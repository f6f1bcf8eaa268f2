package session_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/pkg/testkit"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/session"
)

func TestRedisAwayAndBack(t *testing.T) {
	s := newStack(t)
	i := s.start(t, "watch", "sweep")
	s.awaitReaders(1)
	ada := s.login("Ada")
	before := i.snapshot(ada.token)
	waiting := i.poll(ada, before.Version)

	s.redis.Kill()
	for _, a := range i.sendAll(
		i.request(http.MethodGet, sessionPath, ada.token, ""),
		i.request(http.MethodDelete, sessionPath, ada.token, ""),
		i.request(http.MethodGet, lookupPath(ada.player), serviceToken, ""),
		i.request(http.MethodPost, kickPath(ada.player), serviceToken, kick),
	) {
		a.wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
	}
	i.get(sessionPath, "abc").wants(http.StatusUnauthorized, wire.CodeTokenMalformed)
	i.get(sessionPath+"?wait=x", ada.token).wants(http.StatusBadRequest, wire.CodeInvalidField)
	i.get("/readyz", "").wants(http.StatusServiceUnavailable, "")
	i.get("/livez", "").wants(http.StatusOK, "")
	waiting.wait().wants(http.StatusServiceUnavailable, wire.CodeUnavailable)

	s.redis.Restart(t) // empty: everything is lost
	testkit.Eventually(t, patience, func() error {
		a := i.get(sessionPath, ada.token)
		if a.status != http.StatusOK {
			return fmt.Errorf("status %d: %s", a.status, a.body)
		}
		return nil
	}, "the session to be there again")
	after := i.snapshot(ada.token)
	if after.SID == before.SID || after.Version < before.Version {
		t.Errorf("after the loss: %+v, was %+v", after, before)
	}
	i.get("/readyz", "").wants(http.StatusOK, "")
	s.awaitReaders(1)
	p := i.poll(ada, after.Version)
	began := time.Now()
	s.change(ada)
	p.wait().snapshot()
	if took := p.at.Sub(began); took > lookEvery/2 {
		t.Errorf("after the outage a poll was answered after %s: nobody woke it", took)
	}
}

func TestStartsWithoutRedis(t *testing.T) {
	s := newStack(t)
	ada := s.login("Ada")
	s.redis.Stop()
	i := s.start(t)
	i.get("/readyz", "").wants(http.StatusServiceUnavailable, "")
	i.get(sessionPath, ada.token).wants(http.StatusServiceUnavailable, wire.CodeUnavailable)
	s.redis.Restart(t)
	testkit.Eventually(t, patience, func() bool { return i.get("/readyz", "").status == http.StatusOK }, "readiness")
	i.snapshot(ada.token)
}

func TestSweepExpiresThroughTheService(t *testing.T) {
	s := newStack(t, "SWEEP_INTERVAL=10ms", "DETACHED_TTL=50ms", "HTTP_LEASE=50ms")
	i := s.start(t, "sweep")
	ada := s.login("Ada")
	first := i.snapshot(ada.token)
	testkit.Eventually(t, patience, func() bool { return s.record(ada.player).SID == "" }, "the session to expire")
	if e := s.lastEvent(ada.player); e.kind != "session.expired" || e.sid != first.SID {
		t.Errorf("the outbox says %+v", e)
	}
	if next := i.snapshot(ada.token); next.SID == first.SID || next.Version <= first.Version {
		t.Errorf("the token is good for %+v, was %+v", next, first)
	}
}

func TestSettingsThatStopTheStart(t *testing.T) {
	s := newStack(t)
	for name, value := range map[string]string{
		"SWEEP_INTERVAL": "0s", "SHARDS": "9", "MODE": "staging", "REDIS_URL": "nonsense", "HTTP_LEASE": "soon",
	} {
		vars := s.vars.With(map[string]string{name: value})
		if svc, err := session.New(t.Context(), service.Env{Vars: vars, Log: discard(), Registry: prometheus.NewRegistry()}); err == nil {
			_ = svc.Close()
			t.Errorf("HOLDFAST_%s=%s was accepted", name, value)
		}
	}
	if _, err := config.Parse[session.Config](s.vars); err != nil {
		t.Error(err)
	}
}
