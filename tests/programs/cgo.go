//! A Go program whose C code leaks: called by many goroutines, so on several threads whose stacks Go has made.
package main

/*
#include <stdlib.h>
void *kept[4096];
static void keep(int place) {
  kept[place] = malloc(37); // row: growth=37000/1000 live=37000/1000 total=37000/1000 function=keep
}
static void churn(void) {
  for (int i = 0; i < 100; i++) {
    void *volatile block = malloc(64); // row: growth=0/0 live=0/0 total=6400000/100000 function=churn
    free(block);
  }
}
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"sync"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	in.ReadString('\n')
	var all sync.WaitGroup
	for i := 0; i < 1000; i++ {
		all.Add(1)
		go func(place int) {
			defer all.Done()
			C.churn()
			C.keep(C.int(place))
		}(i)
	}
	all.Wait()
	fmt.Println("kept")
	in.ReadString('\n')
}
