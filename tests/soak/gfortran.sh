# gfortran: a program of arrays that come and go is compiled and run
# for: a language of its own, big DWARF
# needs: gfortran
# program: f951
cd "$1" || exit 98
cat > a.f90 <<'E'
program p
 real, allocatable :: a(:,:)
 integer :: i
 real :: s
 s = 0
 do i = 1, 200
  allocate(a(i, i)); a = i; s = s + sum(matmul(a, a)) / 1e6; deallocate(a)
 end do
 print '(F12.2)', s
end program
E
gfortran -O1 -g a.f90 -o a && ./a
