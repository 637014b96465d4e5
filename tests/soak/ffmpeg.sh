# ffmpeg: a test picture and a tone, encoded and decoded
# for: threads, SIMD, plugins
# needs: ffmpeg
# program: ffmpeg
# within 3%: its threads take frames by time
cd "$1" || exit 98
ffmpeg -nostdin -v error -f lavfi -i testsrc=d=1:s=160x120:r=10 -f lavfi -i sine=d=1 -c:v mpeg4 -c:a aac -bitexact -flags +bitexact -y o.mkv && ffmpeg -nostdin -v error -i o.mkv -f framemd5 -map 0:v - | tail -1; rm o.mkv
