# flac: a tone is packed without loss and unpacked
# for: large blocks, threads
# needs: sox flac
# program: flac
cd "$1" || exit 98
sox -n -r 44100 -b 16 -c 2 a.wav synth 10 sine 440 sine 443 && flac -s -8 a.wav -o a.flac && flac -s -d a.flac -o b.wav && cmp a.wav b.wav && flac -s -t a.flac && wc -c < b.wav
