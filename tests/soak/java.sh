# java: a program of maps, streams, exceptions and threads is compiled in memory and run
# for: JIT, threads, own heap, handlers of SIGSEGV
# needs: java javac
# program: java
# within 5%: its compiler and collector run on other threads
# truncated: code that the virtual machine made has no unwind information
cd "$1" || exit 98
cat > A.java <<'J'
import java.util.*;
import java.util.stream.*;
public class A {
  static int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }
  public static void main(String[] words) throws Exception {
    List<Thread> threads = new ArrayList<>();
    long[] sums = new long[4];
    for (int t = 0; t < 4; t++) {
      int me = t;
      threads.add(new Thread(() -> { Map<String, Integer> map = new HashMap<>(); for (int i = 0; i < 100000; i++) map.merge("k" + i % 1000, i, Integer::sum); sums[me] = map.values().stream().mapToLong(v -> v).sum(); }));
    }
    for (Thread thread : threads) thread.start();
    for (Thread thread : threads) thread.join();
    System.out.println(Arrays.toString(sums));
    try { deep(10_000_000); } catch (StackOverflowError error) { System.out.println("overflow"); }
    String none = words.length > 9 ? "x" : null;
    int caught = 0;
    for (int i = 0; i < 20000; i++) try { caught += none.length(); } catch (NullPointerException error) { caught++; }
    System.out.println(caught);
    System.out.println(IntStream.range(0, 1000).mapToObj(Integer::toString).collect(Collectors.joining()).hashCode());
  }
}
J
java A.java
