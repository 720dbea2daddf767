package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// unixPrefix begins a setting that names a Unix socket: unix:/run/latchkey.sock.
const unixPrefix = "unix:"

// The mode of a Unix socket that the server creates: its user and group may connect.
const socketMode fs.FileMode = 0o660

// listen opens the address of a setting as it is written: 0.0.0.0 is IPv4 only.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return listenUnix(ctx, setting, path)
	}
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4" // Go would listen on IPv6 as well
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, network, address)
	if err != nil {
		return nil, cannotListen(setting, address, err)
	}
	return listener, nil
}

func cannotListen(setting, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use by another program; choose another address with %s%s", address, settingPrefix, setting)
	}
	return fmt.Errorf("%s%s: %w", settingPrefix, setting, err)
}

// listenUnix opens a Unix socket. It replaces one that an earlier process left
// behind, but not one that a process serves.
func listenUnix(ctx context.Context, setting, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err == nil {
			return nil, errors.Join(cannotListen(setting, path, syscall.EADDRINUSE), conn.Close())
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(path); err != nil {
				return nil, cannotListen(setting, path, err)
			}
		}
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, cannotListen(setting, path, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(cannotListen(setting, path, err), listener.Close())
	}
	return listener, nil
}

// adminSocket is the FileDescriptorName of a socket for metrics.
const adminSocket = "admin"

// sockets are the listeners of a server.
type sockets struct {
	public net.Listener
	admin  net.Listener // nil: as the settings say
}

// handedOver returns the sockets that systemd opened for this process, if any
// (sd_listen_fds(3)): at most one for clients and one for metrics. Child processes
// do not get them.
func handedOver() (s sockets, err error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return s, nil
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return s, fmt.Errorf("LISTEN_FDS: %w", err)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return s, err
		}
	}
	const first = 3
	for i := range count {
		syscall.CloseOnExec(first + i)
		file := os.NewFile(uintptr(first+i), "socket of systemd")
		listener, err := net.FileListener(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return s, fmt.Errorf("socket %d of systemd: %w", i+1, err)
		}
		to := &s.public
		if i < len(names) && names[i] == adminSocket {
			to = &s.admin
		}
		if *to != nil {
			return s, fmt.Errorf("systemd opened %d sockets; one is served, and one more if FileDescriptorName=%s names it",
				count, adminSocket)
		}
		*to = listener
	}
	return s, nil
}

// listen opens the address for clients, unless systemd has opened it.
func (s *settings) listen(ctx context.Context) (all sockets, err error) {
	if all, err = handedOver(); err != nil {
		return all, err
	}
	if all.public == nil {
		all.public, err = listen(ctx, "LISTEN", s.Listen)
	}
	if err == nil && all.public.Addr().Network() == "unix" && s.PublicURL == "" {
		err = errors.Join(fmt.Errorf("a Unix socket is no address for clients: set %sPUBLIC_URL", settingPrefix), all.public.Close())
	}
	return all, err
}

// listenAdmin opens the address for metrics. If the default address is in use, for
// example by a second Latchkey, it takes a free port instead of failing.
func (s *settings) listenAdmin(ctx context.Context, log *slog.Logger) (net.Listener, error) {
	admin, err := listen(ctx, "ADMIN_LISTEN", s.AdminListen)
	if err == nil || s.chosen["ADMIN_LISTEN"] {
		return admin, err
	}
	log.Warn("metrics are served on a free port", "because", err)
	return listen(ctx, "ADMIN_LISTEN", "127.0.0.1:0")
}

// publicBounds returns the bounds of the address for clients. This machine and the
// trusted proxies carry many clients, so they are not limited as one network.
func (s *settings) publicBounds() connectionBounds {
	// Calls that wait for changes leave the others their places. A network has half of them.
	return connectionBounds{
		total:      maxConnections + s.SyncWaiters,
		perNetwork: maxConnections/4 + s.SyncWaiters/2,
		exempt: func(a netip.Addr) bool {
			return a.IsLoopback() || slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}
}

// adminBounds returns the bounds of the address for metrics.
func adminBounds() connectionBounds {
	return connectionBounds{total: maxAdminConnections, perNetwork: maxAdminConnections / 2, exempt: netip.Addr.IsLoopback}
}
