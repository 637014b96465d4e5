# bc: pi to 400 digits, and powers
# for: numbers of any size
# needs: bc
# program: bc
cd "$1" || exit 98
echo 'scale=400; 4*a(1); 7^3000 % 1000007; for (i=0;i<3000;i++) s+=i^3; s' | bc -l
