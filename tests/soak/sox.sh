# sox: a tone goes through seven effects
# for: plugins, OpenMP
# needs: sox
# program: sox
cd "$1" || exit 98
sox -R -n -r 44100 -c 2 a.wav synth 5 sine 300 && sox -R a.wav b.wav reverb 50 tempo 1.3 equalizer 500 1q 3 norm -3 trim 0 3 rate 48000 reverse && wc -c < b.wav
