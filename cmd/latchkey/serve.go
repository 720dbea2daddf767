package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/console"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/requestlog"
	"github.com/latchkey-dev/latchkey/service/site"
)

// Limits on what one client may take from the server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute // an export of the audit trail takes long
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	maxConnections    = 10_000 // beyond, those that have waited the longest are closed

	maxAdminConnections = 200
	maxSyncWaiters      = 100_000 // some 2 GB of connections
)

// How long the server takes to shut down.
const (
	drainNotice  = 2 * time.Second  // not ready but serving, so that load balancers notice first
	drainTimeout = 30 * time.Second // for requests in flight
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server",
		Long: "Run the server.\n\nWithout settings it serves on loopback, with an SQLite database and a master key in the working " +
			"directory. Every setting is an environment variable and, unless it is a secret (LATCHKEY_MASTER_KEY, LATCHKEY_SMTP_URL), " +
			"a flag. A flag overrides its variable.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			on, err := s.listen(cmd.Context())
			if err != nil {
				return err
			}
			srv, err := startServer(cmd.Context(), s, on, s.logger(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			return errors.Join(srv.wait(cmd.Context()), srv.stop())
		},
	}
	addSettingFlags(cmd)
	return cmd
}

// server is a running Latchkey.
type server struct {
	log     *slog.Logger
	app     *service.App
	store   *repository.Store
	rest    context.CancelFunc // stops the work in the background
	resting sync.WaitGroup
	address string
	public  *http.Server
	admin   *http.Server
	failed  chan error
	signals chan os.Signal
	tracing *tracing // nil: off
}

// startServer opens everything that the settings name and serves on the open
// sockets, which it closes at the end. The caller stops it.
func startServer(ctx context.Context, s *settings, on sockets, log *slog.Logger) (*server, error) {
	s.makes = true
	s.servedOn = on.public.Addr().String()
	listener := newConnections(on.public, s.publicBounds())
	url := s.publicURL(listener.Addr().String())
	app, store, err := s.openApp(ctx, url, true, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	srv := &server{
		log:     log,
		app:     app,
		store:   store,
		address: listener.Addr().String(),
		failed:  make(chan error, 2),
		signals: make(chan os.Signal, 1),
	}
	if srv.tracing, err = startTracing(ctx, s.tracing, log); err != nil {
		return nil, errors.Join(err, listener.Close(), store.Close())
	}
	config := s.api(url, log)
	config.Requests = requestlog.NewRule()
	metrics := prometheus.NewRegistry()
	config.Metrics = metrics
	measureStatements(store, metrics)
	metrics.MustRegister(newWatchMetrics(app, store))
	if srv.tracing != nil {
		config.Tracing = srv.tracing.requests
		store.Trace(config.Tracing.Tracer)
	}
	handler, err := s.handler(app, config)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), store.Close())
	}
	srv.public = srv.newHTTP(handler)
	if on.admin == nil {
		if on.admin, err = s.listenAdmin(ctx, log); err != nil {
			return nil, errors.Join(err, listener.Close(), store.Close())
		}
	}
	metrics.MustRegister(listener.metrics()...)
	admin := newConnections(on.admin, adminBounds())
	srv.admin = srv.newHTTP(adminRoutes(app, config.Requests, metrics, log))
	background, rest := context.WithCancel(context.WithoutCancel(ctx))
	srv.rest = rest
	srv.resting.Go(func() { app.Run(background) })
	srv.resting.Go(func() { tuneCollector(background) })
	signal.Notify(srv.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) // before anyone can know that it serves
	go func() { srv.failed <- srv.public.Serve(listener) }()
	go func() { srv.failed <- srv.admin.Serve(admin) }()

	for _, warning := range s.warnings() {
		log.Warn("the instance is not as safe as it could be", "because", warning)
	}
	for _, name := range s.unknown {
		log.Warn("this version has no such setting; it is ignored", "setting", name)
	}
	if host, _, err := net.SplitHostPort(s.Listen); err == nil && !loopback(host) && s.PublicURL == "" {
		log.Warn("other machines can connect, but the public address works only on this one", "url", url,
			"set", settingPrefix+"PUBLIC_URL")
	}
	version, _, _ := buildInfo()
	log.Info("serving", "url", url, "address", srv.address, "admin", admin.Addr().String(), "database", store.Engine(), "version", version)
	return srv, nil
}

// handler returns the handler of the public address: the API and the console.
func (s *settings) handler(app *service.App, config api.Config) (http.Handler, error) {
	calls, err := api.New(app, config)
	if err != nil {
		return nil, err
	}
	version, _, _ := buildInfo()
	c := console.Config{
		PublicURL:   config.PublicURL,
		Header:      s.APIKeyHeader,
		Version:     version,
		Log:         config.Log,
		Requests:    config.Requests,
		IPExtractor: calls.IPExtractor,
	}
	if config.Tracing != nil {
		c.Trace = config.Tracing.Middleware()
	}
	pages, err := console.Handler(app, c)
	if err != nil {
		return nil, err
	}
	return console.Mount(site.New(config.PublicURL), pages, calls), nil
}

// api returns the configuration of the API from the settings.
func (s *settings) api(url string, log *slog.Logger) api.Config {
	return api.Config{
		PublicURL:      url,
		Credentials:    api.Credentials{Keyword: s.APIKeyKeyword, Header: s.APIKeyHeader},
		Default:        s.permission,
		TrustedProxies: s.proxies,
		CORSOrigins:    s.origins,
		Log:            log,
	}
}

func (srv *server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           waitsForClients(h),
		ConnContext:       inContext,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(srv.log.Handler(), slog.LevelWarn),
	}
}

// wait returns when the server has failed or a signal asks it to stop: SIGINT from
// Ctrl-C, SIGTERM from a supervisor, or SIGHUP from a terminal that closes. After
// the last two, load balancers get a moment to send requests elsewhere.
func (srv *server) wait(ctx context.Context) error {
	defer signal.Stop(srv.signals) // a second signal then ends the process immediately
	select {
	case err := <-srv.failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	case sig := <-srv.signals:
		srv.app.Drain()
		srv.log.Info("ending", "signal", sig.String())
		if sig != os.Interrupt {
			select {
			case <-time.After(drainNotice):
			case <-ctx.Done():
			}
		}
		return nil
	}
}

// stop ends the server when the requests in flight are answered.
func (srv *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	srv.app.Drain() // also without a signal: calls may wait for changes
	err := errors.Join(srv.public.Shutdown(ctx), srv.admin.Shutdown(ctx))
	srv.rest()
	srv.resting.Wait()
	err = errors.Join(err, srv.store.Close())
	srv.tracing.stop(srv.log)
	if err == nil {
		srv.log.Info("ended")
	}
	return err
}
