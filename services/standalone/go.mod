module github.com/holdfast-games/holdfast/services/standalone

go 1.26.0

require github.com/holdfast-games/holdfast/pkg v0.0.0

replace github.com/holdfast-games/holdfast/pkg => ../../pkg

require github.com/holdfast-games/holdfast/proto v0.0.0

replace github.com/holdfast-games/holdfast/proto => ../../proto

require github.com/holdfast-games/holdfast/services/auth v0.0.0

replace github.com/holdfast-games/holdfast/services/auth => ../../services/auth

require github.com/holdfast-games/holdfast/services/session v0.0.0

replace github.com/holdfast-games/holdfast/services/session => ../../services/session

require github.com/holdfast-games/holdfast/services/matchmaking v0.0.0

replace github.com/holdfast-games/holdfast/services/matchmaking => ../../services/matchmaking

require github.com/holdfast-games/holdfast/services/emqx-hook v0.0.0

replace github.com/holdfast-games/holdfast/services/emqx-hook => ../../services/emqx-hook

require (
	github.com/eclipse/paho.golang v0.23.0
	github.com/gorilla/websocket v1.5.3
	github.com/mochi-mqtt/server/v2 v2.7.9
	go.uber.org/goleak v1.3.0
)

require (
	github.com/rs/xid v1.4.0 // indirect
	golang.org/x/net v0.61.0 // indirect
)
