# erlang: a thousand processes that answer each other
# for: schedulers, own allocators, JIT
# needs: erl
# program: beam.smp
# within 5%: its schedulers
# truncated: code that it compiled just in time has no unwind information
cd "$1" || exit 98
HOME=$PWD erl -noshell -eval 'S = self(), P = [spawn(fun() -> receive N -> S ! N * 2 end end) || _ <- lists:seq(1, 1000)], [X ! 3 || X <- P], io:format("~p~n", [lists:sum([receive N -> N end || _ <- P])]), halt(0).'
