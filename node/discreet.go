package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
)

// discreet is a log handler that takes network addresses out of whatever any
// part logs, whosever they are: errors of the network carry those of visitors.
type discreet struct{ slog.Handler }

func (d discreet) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(withoutAddresses(a))
		return true
	})
	return d.Handler.Handle(ctx, clean)
}

func (d discreet) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = withoutAddresses(a)
	}
	return discreet{d.Handler.WithAttrs(clean)}
}

func (d discreet) WithGroup(name string) slog.Handler { return discreet{d.Handler.WithGroup(name)} }

func withoutAddresses(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(hideAddresses(v.String()))
	case slog.KindGroup:
		var clean []slog.Attr
		for _, in := range v.Group() {
			clean = append(clean, withoutAddresses(in))
		}
		v = slog.GroupValue(clean...)
	case slog.KindAny:
		v = slog.StringValue(hideAddresses(fmt.Sprint(v.Any())))
	}
	return slog.Attr{Key: a.Key, Value: v}
}

// addressLike matches what may be an address, with or without port and zone.
var addressLike = regexp.MustCompile(`\[?[0-9A-Fa-f]*[:.][0-9A-Fa-f:.]+(?:%[0-9A-Za-z_.-]+)?\]?(?::[0-9]+)?`)

// hideAddresses replaces IP and MAC addresses in a text.
func hideAddresses(text string) string {
	return addressLike.ReplaceAllStringFunc(text, func(s string) string {
		if isAddress(s) {
			return "<address>"
		}
		// A sentence may end right behind an address.
		if short := strings.TrimRight(s, ":."); short != s && isAddress(short) {
			return "<address>" + s[len(short):]
		}
		return s
	})
}

func isAddress(s string) bool {
	if strings.Trim(s, ":") == "" {
		return false // the unspecified address, or just two colons
	}
	if _, err := netip.ParseAddrPort(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil || isHardwareAddress(s)
}

// isHardwareAddress reports whether s is six octets in hexadecimal, with colons.
func isHardwareAddress(s string) bool {
	octets := strings.Split(s, ":")
	for _, o := range octets {
		if len(o) != 2 {
			return false
		}
	}
	return len(octets) == 6
}
