// The measured crowd in Go: many connects at once, and a ticker that shows for how long goroutines do not run.
//
//	crowd TARGET_PORT
//
// A count of connections on each line of standard input; see worker.py. `late` is by how many seconds the ticker was late
// at worst.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

const tick = 2 * time.Millisecond

func watch(over <-chan struct{}, worst chan<- time.Duration) {
	var late time.Duration
	for {
		began := time.Now()
		select {
		case <-over:
			worst <- late
			return
		case <-time.After(tick):
			late = max(late, time.Since(began)-tick)
		}
	}
}

func max(one, other time.Duration) time.Duration {
	if one > other {
		return one
	}
	return other
}

func crowd(address string, count int) (time.Duration, time.Duration) {
	over, worst := make(chan struct{}), make(chan time.Duration)
	go watch(over, worst)
	opened := make([]net.Conn, count)
	var group sync.WaitGroup
	began := time.Now()
	for number := range opened {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			opened[number] = conn
		}(number)
	}
	group.Wait()
	taken := time.Since(began)
	close(over)
	for _, conn := range opened {
		conn.Close()
	}
	return taken, <-worst
}

func main() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		count, _ := strconv.Atoi(input.Text())
		taken, late := crowd("127.0.0.1:"+os.Args[1], count)
		fmt.Printf("{\"seconds\": %f, \"late\": %f}\n", taken.Seconds(), late.Seconds())
	}
}
