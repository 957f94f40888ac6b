// A server with Centrifuge, the library that Centrifugo is built on, as it was in March 2021: memory broker, no history, no
// presence, everybody may subscribe to everything.
//
//	server --port PORT [--message-bytes-max N] [--deflate true|false]
//
// /connection/websocket is for clients (protocol v1, JSON), POST bodies to /pub/CHANNEL are published: any JSON value.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"github.com/centrifugal/centrifuge"
)

// Set when it is linked.
var version = "of unknown version"

func main() {
	port := flag.Int("port", 0, "port of 127.0.0.1 to listen on")
	messageBytesMax := flag.Int64("message-bytes-max", 65536, "longest message that may be published, in bytes")
	deflate := flag.String("deflate", "false", "whether permessage-deflate is agreed to")
	showVersion := flag.Bool("version", false, "say the version and end")
	flag.Parse()
	if *showVersion {
		fmt.Println(version)
		return
	}
	node, err := newNode()
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		Compression:        *deflate == "true",
		CompressionLevel:   1, // Centrifugo's default; the library's is not to compress
		UseWriteBufferPool: true,
		CheckOrigin:        func(*http.Request) bool { return true },
	}))
	http.HandleFunc("/pub/", func(response http.ResponseWriter, request *http.Request) {
		publish(node, *messageBytesMax, response, request)
	})
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), nil))
}

func newNode() (*centrifuge.Node, error) {
	node, err := centrifuge.New(centrifuge.DefaultConfig)
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: ""}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
	})
	return node, node.Run()
}

func publish(node *centrifuge.Node, messageBytesMax int64, response http.ResponseWriter, request *http.Request) {
	channel := strings.TrimPrefix(request.URL.Path, "/pub/")
	if request.Method != http.MethodPost || channel == "" {
		http.NotFound(response, request)
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(response, request.Body, messageBytesMax))
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	if _, err := node.Publish(channel, data); err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
	}
}
