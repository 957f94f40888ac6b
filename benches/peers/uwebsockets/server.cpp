// What uWebSockets offers out of the box: its own topics, its own publish, one App a thread as its documentation
// recommends for several cores.
//
// server --port PORT --threads N --message-bytes-max N
//
// /sub/CHANNEL and /sub?channel=A&channel=B subscribe, WebSocket messages and POST bodies to /pub/CHANNEL are published.

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <latch>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "App.h"

// A subscriber that is this far behind is disconnected.
constexpr unsigned int backpressure_bytes_max = 1024 * 1024;

struct Subscriber {
    std::string channels;
};

struct Publisher {
    std::string channel;
};

struct Settings {
    int port = 0;
    unsigned int threads = 1;
    unsigned int message_bytes_max = 64 * 1024;
};

std::vector<uWS::App *> apps;

// Each thread's App has subscribers of its own, so each is told, in its own loop. The publisher's own App is told that way,
// too: inside a message handler the publisher's socket holds the loop's cork, and a subscriber with more than 32 messages
// waiting would then be sent each of them by itself.
void publish(std::string_view channel, std::string_view payload, uWS::OpCode code) {
    auto shared_channel = std::make_shared<const std::string>(channel);
    auto shared_payload = std::make_shared<const std::string>(payload);
    for (uWS::App *app : apps) {
        app->getLoop()->defer([app, shared_channel, shared_payload, code]() {
            app->publish(*shared_channel, *shared_payload, code);
        });
    }
}

// Calls `each` with the values of all fields `channel` of a query.
template <typename Each>
void for_each_channel(std::string_view query, Each each) {
    while (!query.empty()) {
        std::string_view field = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), field.size() + 1));
        if (field.starts_with("channel=")) {
            each(std::string(field.substr(strlen("channel="))));
        }
    }
}

template <typename Data>
void upgrade(uWS::HttpResponse<false> *response, uWS::HttpRequest *request, us_socket_context_t *context, Data &&data) {
    response->template upgrade<Data>(std::move(data), request->getHeader("sec-websocket-key"),
        request->getHeader("sec-websocket-protocol"), request->getHeader("sec-websocket-extensions"), context);
}

void subscriptions(uWS::App &app) {
    auto open = [](auto *ws) {
        std::string channels = std::move(ws->getUserData()->channels);
        for_each_channel(channels, [ws](const std::string &channel) { ws->subscribe(channel); });
    };
    app.ws<Subscriber>("/sub/:channel", {
        .maxBackpressure = backpressure_bytes_max,
        .closeOnBackpressureLimit = true,
        .upgrade = [](auto *response, auto *request, auto *context) {
            upgrade(response, request, context, Subscriber{"channel=" + std::string(request->getParameter(0))});
        },
        .open = open,
    });
    app.ws<Subscriber>("/sub", {
        .maxBackpressure = backpressure_bytes_max,
        .closeOnBackpressureLimit = true,
        .upgrade = [](auto *response, auto *request, auto *context) {
            upgrade(response, request, context, Subscriber{std::string(request->getQuery())});
        },
        .open = open,
    });
}

void publishing(uWS::App &app, const Settings &settings) {
    app.ws<Publisher>("/pub/:channel", {
        .maxPayloadLength = settings.message_bytes_max,
        .upgrade = [](auto *response, auto *request, auto *context) {
            upgrade(response, request, context, Publisher{std::string(request->getParameter(0))});
        },
        .message = [](auto *ws, std::string_view message, uWS::OpCode code) {
            publish(ws->getUserData()->channel, message, code);
        },
    });
    app.post("/pub/:channel", [](auto *response, auto *request) {
        response->onAborted([]() {});
        response->onData([response, channel = std::string(request->getParameter(0)), body = std::string()](
            std::string_view chunk, bool last) mutable {
            body.append(chunk);
            if (last) {
                publish(channel, body, uWS::OpCode::TEXT);
                response->end();
            }
        });
    });
}

// Serves until the process is ended. No App listens before all are known to `publish`.
void serve(const Settings &settings, unsigned int index, std::latch &known) {
    uWS::App app;
    subscriptions(app);
    publishing(app, settings);
    apps[index] = &app;
    known.arrive_and_wait();
    int options = settings.threads == 1 ? LIBUS_LISTEN_EXCLUSIVE_PORT : LIBUS_LISTEN_DEFAULT;
    app.listen("127.0.0.1", settings.port, options, [&settings](auto *listening) {
        if (!listening) {
            std::cerr << "cannot listen on 127.0.0.1:" << settings.port << std::endl;
            std::_Exit(1);
        }
    });
    app.run();
}

Settings parse_arguments(int count, char **arguments) {
    Settings settings;
    for (int at = 1; at < count; at += 2) {
        std::string_view name = arguments[at];
        if (name == "--version") {
            std::cout << UWEBSOCKETS_VERSION << std::endl;
            std::exit(0);
        }
        int value = at + 1 < count ? std::atoi(arguments[at + 1]) : 0;
        if (name == "--port" && value > 0) {
            settings.port = value;
        } else if (name == "--threads" && value > 0) {
            settings.threads = value;
        } else if (name == "--message-bytes-max" && value > 0) {
            settings.message_bytes_max = value;
        } else {
            std::cerr << "usage: server --port PORT [--threads N] [--message-bytes-max N]" << std::endl;
            std::exit(2);
        }
    }
    return settings;
}

int main(int count, char **arguments) {
    Settings settings = parse_arguments(count, arguments);
    apps.resize(settings.threads);
    std::latch known(settings.threads);
    std::vector<std::jthread> threads;
    for (unsigned int index = 1; index < settings.threads; index++) {
        threads.emplace_back([&settings, index, &known]() { serve(settings, index, known); });
    }
    serve(settings, 0, known);
}
