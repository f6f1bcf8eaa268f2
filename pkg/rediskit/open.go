// Package rediskit opens Redis by URL, runs Lua scripts, and turns what the
// client library reports into errors the rest of Holdfast understands.
package rediskit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

// Open returns a client for the URL. It does not connect. The forms are
//
//	redis://[user:password@]host:port[/db]             one server
//	rediss://…                                         the same with TLS
//	redis+cluster://[user:password@]host:port,host:port,…
//	redis+sentinel://[user:password@]host:port,host:port,…/db?master=NAME
//
// The query may hold pool_size. Connections are dialled, read and written
// within two seconds, and a command that could not be sent is retried.
func Open(rawURL string) (redis.UniversalClient, error) { return OpenPool(rawURL, 0) }

// OpenPool is Open for callers that block connections: connections is how many
// of them there may be to each server. A pool_size in the URL wins. Such a
// client sends nothing twice: XREADGROUP hands out other entries then, and
// those of the answer that was lost would wait for ever.
func OpenPool(rawURL string, connections int) (redis.UniversalClient, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, errors.New("redis url: no scheme")
	}
	hosts, parsed, err := splitHosts(rest)
	if err != nil {
		return nil, err
	}
	redis.SetLogger(&logging.VoidLogger{}) // its lines are no log lines, and every failure is returned to the caller too
	pool, err := poolSize(parsed, connections)
	if err != nil {
		return nil, err
	}
	retries := 0 // as the library does it
	if connections > 0 {
		retries = noRetries
	}
	switch scheme {
	case "redis", "rediss":
		return openSingle(rawURL, pool, retries)
	case "redis+cluster":
		return openCluster(hosts, parsed, pool, retries)
	case "redis+sentinel":
		return openSentinel(hosts, parsed, pool, retries)
	default:
		return nil, fmt.Errorf("redis url: unknown scheme %q", scheme)
	}
}

// errForm tells nothing of the URL and of what its parser met: where a password
// was not encoded, that is a piece of it.
var errForm = errors.New("redis url: not of the form redis://[user:password@]host:port[/db]; " +
	"what is special in a password must be percent-encoded, and the only option is pool_size")

const (
	dialTimeout  = 2 * time.Second
	readTimeout  = 2 * time.Second
	writeTimeout = 2 * time.Second
	noRetries    = -1
	dialTries    = 2 // a command that could not be sent is tried again anyway
	dialPause    = 20 * time.Millisecond
)

func openSingle(rawURL string, pool, retries int) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(rawURL)
	if err != nil {
		return nil, errForm
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, readTimeout, writeTimeout
	o.ContextTimeoutEnabled = true
	o.PoolSize, o.MaxRetries = pool, retries
	o.DialerRetries, o.DialerRetryTimeout = dialTries, dialPause
	return redis.NewClient(o), nil
}

func openCluster(hosts []string, u *url.URL, pool, retries int) (redis.UniversalClient, error) {
	password, _ := u.User.Password()
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: hosts, Username: u.User.Username(), Password: password, PoolSize: pool, MaxRetries: retries,
		DialerRetries: dialTries, DialerRetryTimeout: dialPause, DialTimeout: dialTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		ContextTimeoutEnabled: true,
	}), nil
}

func openSentinel(hosts []string, u *url.URL, pool, retries int) (redis.UniversalClient, error) {
	master := u.Query().Get("master")
	if master == "" {
		return nil, errors.New("redis url: redis+sentinel needs ?master=NAME")
	}
	db := 0
	if path := strings.Trim(u.Path, "/"); path != "" {
		var err error
		if db, err = strconv.Atoi(path); err != nil {
			return nil, errors.New("redis url: the path is not a database number")
		}
	}
	password, _ := u.User.Password()
	return redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: master, SentinelAddrs: hosts, Username: u.User.Username(), Password: password, DB: db,
		PoolSize: pool, MaxRetries: retries, DialerRetries: dialTries, DialerRetryTimeout: dialPause,
		DialTimeout: dialTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		ContextTimeoutEnabled: true,
	}), nil
}

// splitHosts parses what follows "://", where several hosts may be listed.
func splitHosts(rest string) ([]string, *url.URL, error) {
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	user := ""
	if i := strings.LastIndex(authority, "@"); i >= 0 {
		user, authority = authority[:i+1], authority[i+1:]
	}
	hosts := strings.Split(authority, ",")
	if slices.Contains(hosts, "") {
		return nil, nil, errors.New("redis url: an empty host")
	}
	u, err := url.Parse("redis://" + user + hosts[0] + tail)
	if err != nil {
		return nil, nil, errForm
	}
	return hosts, u, nil
}

func poolSize(u *url.URL, fallback int) (int, error) {
	raw := u.Query().Get("pool_size")
	if raw == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 1 {
		return 0, errors.New("redis url: pool_size is not a positive number")
	}
	return n, nil
}

// Clustered reports whether keys of different shards may live on different
// servers, so that one command may name the keys of one shard only.
func Clustered(c redis.UniversalClient) bool {
	_, ok := c.(*redis.ClusterClient)
	return ok
}

// Ping tells whether Redis answers; the error is of kind Unavailable.
func Ping(ctx context.Context, c redis.UniversalClient) error {
	if err := c.Ping(ctx).Err(); err != nil {
		return apperr.Away("ping redis", err)
	}
	return nil
}
