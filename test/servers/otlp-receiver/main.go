// Command otlp-receiver runs OpenTelemetry's own receiver of OTLP over HTTP, the one that collectors have, and prints what it took: one line
// of JSON for each export, {"signal": …, "data": …}. The first line says where it listens.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

var printing sync.Mutex

func printLine(signal string, data []byte, err error) error {
	if err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{"signal": signal, "data": json.RawMessage(data)})
	if err != nil {
		return err
	}
	printing.Lock()
	defer printing.Unlock()
	_, err = fmt.Println(string(line))
	return err
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: otlp-receiver ADDRESS") }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	address := flag.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	endpoint := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}
	must(0, confmap.NewFromStringMap(endpoint).Unmarshal(config))
	settings := receivertest.NewNopSettings(factory.Type())
	traces := must(consumer.NewTraces(func(_ context.Context, data ptrace.Traces) error {
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(data)
		return printLine("traces", text, err)
	}))
	metrics := must(consumer.NewMetrics(func(_ context.Context, data pmetric.Metrics) error {
		text, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(data)
		return printLine("metrics", text, err)
	}))
	logs := must(consumer.NewLogs(func(_ context.Context, data plog.Logs) error {
		text, err := (&plog.JSONMarshaler{}).MarshalLogs(data)
		return printLine("logs", text, err)
	}))
	receivers := []component.Component{
		must(factory.CreateTraces(ctx, settings, config, traces)),
		must(factory.CreateMetrics(ctx, settings, config, metrics)),
		must(factory.CreateLogs(ctx, settings, config, logs)),
	}
	for _, each := range receivers {
		must(0, each.Start(ctx, componenttest.NewNopHost()))
	}
	must(0, printLine("listening", must(json.Marshal(address)), nil))
	<-ctx.Done()
	for _, each := range receivers {
		_ = each.Shutdown(context.Background())
	}
}
