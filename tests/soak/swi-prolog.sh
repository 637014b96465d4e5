# swi-prolog: queens, assertions, exceptions and garbage collection
# for: own stacks that grow, threads
# needs: swipl
# program: swipl
# within 5%: its collector's thread
cd "$1" || exit 98
swipl -f none -g 'numlist(1,8,L), findall(P, (permutation(L,P), \+ (nth1(I,P,A), nth1(J,P,B), I<J, D is J-I, D =:= abs(A-B))), Q), length(Q,N), writeln(N), forall(between(1,2000,X), assertz(f(X))), aggregate_all(count, f(_), C), writeln(C), catch(atom_length(_,_), error(E,_), (print(E), nl))' -t halt
