# ruby: strings, hashes, a fork, fibers and threads
# for: coroutines, own garbage collector
# needs: ruby
# program: ruby3.1
# within 2%: the garbage collector runs by time and by what the stack looks like
cd "$1" || exit 98
ruby -e 'h = Hash.new { |a, k| a[k] = "v#{k}" * 3 }; 30000.times { |i| h[i % 997] }; f = Fiber.new { 100.times { |i| Fiber.yield "f#{i}" } }; puts 50.times.map { f.resume }.last; puts 8.times.map { |n| Thread.new { (0..n * 100).map(&:to_s).join.size } }.map(&:value).inspect; pid = fork { exit((1..1000).map { |i| "c#{i}" }.size % 7) }; Process.wait pid; puts $?.exitstatus, h.size'
