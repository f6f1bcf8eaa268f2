package broker

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// restTime is how EMQX writes times: RFC 3339 with milliseconds and a numeric offset.
const restTime = "2006-01-02T15:04:05.000-07:00"

// Handler is the part of EMQX's REST interface that back ends need, under /api/v5, with Basic authentication by
// APIKey and APISecret.
func (b *Broker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v5/clients", b.listClients)
	mux.HandleFunc("GET /api/v5/clients/{id}", b.showClient)
	mux.HandleFunc("DELETE /api/v5/clients/{id}", b.kickClient)
	mux.HandleFunc("POST /api/v5/clients/{id}/unsubscribe", b.unsubscribeOne)
	mux.HandleFunc("POST /api/v5/clients/{id}/unsubscribe/bulk", b.unsubscribeMany)
	mux.HandleFunc("POST /api/v5/publish", b.publishOne)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !b.mayCall(r) {
			restError(w, http.StatusUnauthorized, "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 2*maximumPacketSize)
		mux.ServeHTTP(w, r)
	})
}

func (b *Broker) mayCall(r *http.Request) bool {
	key, secret, ok := r.BasicAuth()
	same := func(given, want string) bool {
		g, w := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
		return want != "" && subtle.ConstantTimeCompare(g[:], w[:]) == 1
	}
	keyOK, secretOK := same(key, b.cfg.APIKey), same(secret, b.cfg.APISecret)
	return ok && keyOK && secretOK
}

func (b *Broker) listClients(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page, okPage := number(q.Get("page"), 1, 1<<30)
	limit, okLimit := number(q.Get("limit"), 100, 10_000)
	state := q.Get("conn_state")
	if !okPage || !okLimit || state != "" && state != "connected" && state != "disconnected" && state != "idle" {
		restError(w, http.StatusBadRequest, "BAD_REQUEST", "page, limit or conn_state is not valid")
		return
	}
	var rows []map[string]any
	for _, c := range b.clients.all() {
		if state == "" || state == b.connState(c) {
			rows = append(rows, pick(b.row(c), q.Get("fields")))
		}
	}
	first := min((page-1)*limit, len(rows))
	last := min(first+limit, len(rows))
	restJSON(w, http.StatusOK, map[string]any{
		"data": append([]map[string]any{}, rows[first:last]...),
		"meta": map[string]any{"page": page, "limit": limit, "count": len(rows), "hasnext": last < len(rows)},
	})
}

func (b *Broker) connState(c *conn) string {
	if b.clients.awaySince(c).IsZero() {
		return "connected"
	}
	return "disconnected"
}

// number reads a positive query parameter.
func number(text string, byDefault, most int) (int, bool) {
	if text == "" {
		return byDefault, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= most
}

func pick(row map[string]any, fields string) map[string]any {
	if fields == "" || fields == "all" {
		return row
	}
	picked := map[string]any{}
	for f := range strings.SplitSeq(fields, ",") {
		if v, ok := row[f]; ok {
			picked[f] = v
		}
	}
	return picked
}

func (b *Broker) row(c *conn) map[string]any {
	host, portText, _ := net.SplitHostPort(c.RemoteAddr().String())
	port, _ := strconv.Atoi(portText)
	away := b.clients.awaySince(c)
	c.mu.Lock()
	expiry := c.expiry
	c.mu.Unlock()
	row := map[string]any{
		"clientid":        c.hello.id,
		"username":        nil,
		"connected":       away.IsZero(),
		"connected_at":    c.connectedAt.UTC().Format(restTime),
		"created_at":      c.createdAt.UTC().Format(restTime),
		"node":            b.cfg.Node,
		"ip_address":      host,
		"port":            port,
		"proto_ver":       c.hello.version,
		"proto_name":      c.hello.protocol,
		"clean_start":     c.hello.clean,
		"keepalive":       c.hello.keepalive,
		"expiry_interval": expiry,
		"listener":        c.listener,
		"client_attrs":    c.login.attrs,
		"is_bridge":       false,
		"is_expired":      false,
		"is_persistent":   expiry > 0,
		"durable":         false,
	}
	if c.hello.hasUsername {
		row["username"] = c.hello.username
	}
	if !away.IsZero() {
		row["disconnected_at"] = away.UTC().Format(restTime)
	}
	return row
}

func (b *Broker) showClient(w http.ResponseWriter, r *http.Request) {
	if c := b.known(w, r); c != nil {
		restJSON(w, http.StatusOK, pick(b.row(c), r.URL.Query().Get("fields")))
	}
}

// known returns the client named in the path, or answers 404.
func (b *Broker) known(w http.ResponseWriter, r *http.Request) *conn {
	c := b.clients.get(r.PathValue("id"))
	if c == nil {
		clientNotFound(w)
	}
	return c
}

func (b *Broker) kickClient(w http.ResponseWriter, r *http.Request) {
	if !b.kick(r.Context(), r.PathValue("id")) {
		clientNotFound(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type topicBody struct {
	Topic string `json:"topic"`
}

func (b *Broker) unsubscribeOne(w http.ResponseWriter, r *http.Request) {
	var body topicBody
	if readBody(w, r, &body) {
		b.unsubscribe(w, r, []topicBody{body})
	}
}

func (b *Broker) unsubscribeMany(w http.ResponseWriter, r *http.Request) {
	var body []topicBody
	if readBody(w, r, &body) {
		b.unsubscribe(w, r, body)
	}
}

func (b *Broker) unsubscribe(w http.ResponseWriter, r *http.Request, topics []topicBody) {
	c := b.known(w, r)
	if c == nil {
		return
	}
	for _, t := range topics {
		b.server.Topics.Unsubscribe(t.Topic, c.hello.id)
		c.client.State.Subscriptions.Delete(t.Topic)
	}
	w.WriteHeader(http.StatusNoContent)
}

type publishBody struct {
	Topic    string `json:"topic"`
	Payload  string `json:"payload"`
	Encoding string `json:"payload_encoding"`
	QoS      byte   `json:"qos"`
	Retain   bool   `json:"retain"`
	Props    struct {
		Expiry        uint32            `json:"message_expiry_interval"`
		ContentType   string            `json:"content_type"`
		ResponseTopic string            `json:"response_topic"`
		Correlation   string            `json:"correlation_data"`
		User          map[string]string `json:"user_properties"`
	} `json:"properties"`
}

func (b *Broker) publishOne(w http.ResponseWriter, r *http.Request) {
	var body publishBody
	if !readBody(w, r, &body) {
		return
	}
	payload := []byte(body.Payload)
	var err error
	if body.Encoding == "base64" {
		payload, err = base64.StdEncoding.DecodeString(body.Payload)
	}
	if err != nil || body.Topic == "" || body.QoS > 2 || !mqtt.IsValidFilter(body.Topic, true) {
		restError(w, http.StatusBadRequest, "BAD_REQUEST", "topic, qos or payload is not valid")
		return
	}
	props := packets.Properties{
		MessageExpiryInterval: body.Props.Expiry,
		ContentType:           body.Props.ContentType,
		ResponseTopic:         body.Props.ResponseTopic,
		CorrelationData:       []byte(body.Props.Correlation),
	}
	for k, v := range body.Props.User {
		props.User = append(props.User, packets.UserProperty{Key: k, Val: v})
	}
	matched, err := b.publish(body.Topic, payload, body.QoS, body.Retain, props)
	switch {
	case err != nil:
		restError(w, http.StatusServiceUnavailable, "INTERNAL_ERROR", "message was not dispatched")
	case !matched:
		restJSON(w, http.StatusAccepted, map[string]any{"reason_code": 16, "message": "no_matching_subscribers"})
	default:
		id := strings.ToUpper(strconv.FormatInt(time.Now().UnixNano(), 16)) + strconv.FormatInt(b.messages.Load(), 16)
		restJSON(w, http.StatusOK, map[string]any{"id": id})
	}
}

func readBody(w http.ResponseWriter, r *http.Request, into any) bool {
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		restError(w, http.StatusBadRequest, "BAD_REQUEST", "body is not valid")
	}
	return err == nil
}

func clientNotFound(w http.ResponseWriter) {
	restError(w, http.StatusNotFound, "CLIENTID_NOT_FOUND", "Client ID not found")
}

func restError(w http.ResponseWriter, status int, code, message string) {
	restJSON(w, status, map[string]string{"code": code, "message": message})
}

func restJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "encode answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}
