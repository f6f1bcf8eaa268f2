package broker

import (
	"context"
	"strconv"
	"strings"
)

// authzQuestion is the body of an authorization request. All values are strings.
type authzQuestion struct {
	Username   string `json:"username"`
	Topic      string `json:"topic"`
	Retain     string `json:"retain"`
	QoS        string `json:"qos"`
	ProtoName  string `json:"proto_name"`
	PeerHost   string `json:"peerhost"`
	Mountpoint string `json:"mountpoint"`
	ClientID   string `json:"clientid"`
	Action     string `json:"action"`
}

// authorize decides whether the client may do it: superusers may, then the login's own rules decide, then the hook,
// and what nobody allows is denied. Nothing is cached.
func (b *Broker) authorize(ctx context.Context, c *conn, a access) bool {
	if c.login.superuser {
		return true
	}
	switch judge(c.login.rules, c.placeholders(), a) {
	case allowed:
		return true
	case denied:
		return false
	case noMatch:
	}
	if b.cfg.AuthzURL == "" {
		return false
	}
	answer, err := b.hooks.ask(ctx, b.cfg.AuthzURL, authzQuestion{
		Username:  c.hello.username,
		Topic:     a.topic,
		Retain:    strconv.FormatBool(a.retain),
		QoS:       strconv.Itoa(int(a.qos)),
		ProtoName: "mqtt",
		PeerHost:  c.peerHost(),
		ClientID:  c.hello.id,
		Action:    a.action(),
	})
	if err != nil {
		b.log.Warn("authorization hook failed", "clientid", c.hello.id, "error", err)
		return false
	}
	return allows(answer)
}

func (a access) action() string {
	if a.publish {
		return "publish"
	}
	return "subscribe"
}

// allows reads an authorizer's answer. Deny, ignore and failures end alike, since no_match is deny. A missing
// content type counts as JSON here, unlike in authentication.
func allows(a answer) bool {
	if a.status == 204 {
		return true
	}
	if a.status != 200 || a.contentType != "" && !a.isJSON() {
		return false
	}
	f, err := a.fields()
	return err == nil && f["result"] == "allow"
}

func (c *conn) placeholders() map[string]string {
	vars := map[string]string{"clientid": c.hello.id}
	if c.hello.hasUsername {
		vars["username"] = c.hello.username
	}
	for k, v := range c.login.attrs {
		vars["client_attrs."+k] = v
	}
	return vars
}

// realTopic is the filter of a subscription without its share group.
func realTopic(filter string) string {
	if rest, ok := strings.CutPrefix(filter, "$share/"); ok {
		if _, topic, ok := strings.Cut(rest, "/"); ok {
			return topic
		}
	}
	return filter
}
