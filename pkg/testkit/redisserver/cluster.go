//go:build unix

package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/testkit"
)

const (
	masters        = 3
	slots          = 16384
	clusterTimeout = 30 * time.Second
)

// Cluster is a Redis Cluster of three masters without replicas.
type Cluster struct{ nodes []*Server }

// StartCluster returns a cluster that serves all slots on every node. It ends
// with the test. Redis itself takes two to three seconds for it, so share one
// among the tests of a package (see Shared).
func StartCluster(tb testing.TB, options ...Option) *Cluster {
	tb.Helper()
	c, err := launchCluster(testkit.Program(tb, program), options...)
	if err != nil {
		tb.Fatalf("start a redis cluster: %v", err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			for _, node := range c.nodes {
				tb.Logf("log of redis cluster node %s:\n%s", node.Addr(), node.log())
			}
		}
		c.close()
	})
	return c
}

func launchCluster(path string, options ...Option) (*Cluster, error) {
	options = append([]Option{Args("--cluster-enabled", "yes", "--cluster-node-timeout", "5000")}, options...)
	c := &Cluster{}
	for range masters {
		node, err := launch(path, options...)
		if err != nil {
			c.close()
			return nil, err
		}
		c.nodes = append(c.nodes, node)
	}
	if err := c.join(context.Background()); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// Nodes returns the three servers, to kill, pause and restart.
func (c *Cluster) Nodes() []*Server { return c.nodes }

// Addrs returns the "127.0.0.1:port" of every node.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, 0, len(c.nodes))
	for _, node := range c.nodes {
		addrs = append(addrs, node.Addr())
	}
	return addrs
}

// URL returns the addresses as HOLDFAST_REDIS_URL takes them:
// "redis+cluster://host:port,host:port,host:port".
func (c *Cluster) URL() string { return "redis+cluster://" + strings.Join(c.Addrs(), ",") }

// FlushAll empties every node, scripts included.
func (c *Cluster) FlushAll(tb testing.TB) {
	tb.Helper()
	for _, node := range c.nodes {
		node.FlushAll(tb)
	}
}

func (c *Cluster) close() {
	for _, node := range c.nodes {
		node.close()
	}
}

// join deals the slots out and introduces the nodes to each other.
func (c *Cluster) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	for i, node := range c.nodes {
		if err := c.introduce(ctx, node, i); err != nil {
			return fmt.Errorf("join node %s to the cluster: %w", node.Addr(), err)
		}
	}
	return c.awaitWhole(ctx)
}

func (c *Cluster) introduce(ctx context.Context, node *Server, i int) error {
	client := redis.NewClient(&redis.Options{Addr: node.Addr(), PoolSize: 1})
	defer func() { _ = client.Close() }()
	// Distinct epochs from the start, or the nodes spend seconds agreeing on them.
	if err := client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
		return fmt.Errorf("set the epoch: %w", err)
	}
	if err := client.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err(); err != nil {
		return fmt.Errorf("add slots: %w", err)
	}
	if i == 0 {
		return nil
	}
	host, number, err := net.SplitHostPort(c.nodes[0].Addr())
	if err != nil {
		return fmt.Errorf("split the address: %w", err)
	}
	if err := client.ClusterMeet(ctx, host, number).Err(); err != nil {
		return fmt.Errorf("meet the first node: %w", err)
	}
	return nil
}

// awaitWhole waits until each node says that all nodes and slots are there.
func (c *Cluster) awaitWhole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	for _, node := range c.nodes {
		for {
			info, err := ask(node.Addr(), "CLUSTER INFO")
			if err == nil && whole(info) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("cluster node %s last said %q: %w", node.Addr(), info, errors.Join(ctx.Err(), err))
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

func whole(info string) bool {
	for _, want := range []string{
		"cluster_state:ok\r\n",
		fmt.Sprintf("cluster_slots_ok:%d\r\n", slots),
		fmt.Sprintf("cluster_size:%d\r\n", masters),
		fmt.Sprintf("cluster_known_nodes:%d\r\n", masters),
	} {
		if !strings.Contains(info, want) {
			return false
		}
	}
	return true
}
