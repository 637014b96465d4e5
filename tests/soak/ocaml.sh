# ocaml: a list of 200,000 is sorted in bytecode
# for: a collector of its own
# needs: ocaml
# program: ocamlrun
cd "$1" || exit 98
export HOME=$PWD; echo 'let rec mk n acc = if n = 0 then acc else mk (n-1) ((n * 7919) mod 100003 :: acc);; let l = List.sort compare (mk 200000 []) in Printf.printf "%d %d\n" (List.nth l 777) (List.length l)' > a.ml; ocaml a.ml
