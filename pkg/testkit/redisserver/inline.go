//go:build unix

package redisserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const askTimeout = 5 * time.Second

// ask sends one inline command over a connection of its own and returns the
// answer: a status with its sign ("+OK", "-ERR …"), or the text of a bulk
// string. A client library would dial again and log, which start-up must not.
func ask(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, askTimeout)
	if err != nil {
		return "", fmt.Errorf("dial redis: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return "", fmt.Errorf("set the deadline: %w", err)
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", fmt.Errorf("send the command: %w", err)
	}
	return answer(bufio.NewReader(conn))
}

func answer(reader *bufio.Reader) (string, error) {
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	line = strings.TrimSuffix(line, "\r\n")
	length, isBulk := strings.CutPrefix(line, "$")
	if !isBulk {
		return line, nil
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 {
		return "", fmt.Errorf("bulk string of length %q: %w", length, err)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(reader, text); err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return string(text), nil
}
