# xsltproc: a style sheet over 2,000 elements, with keys, sorting and templates that call themselves
# for: dictionaries of strings, XPath
# needs: xsltproc
# program: xsltproc
# within 2%: its dictionaries are seeded by the time, and how often they grow depends on that
cd "$1" || exit 98
{ echo '<all>'; i=0; while [ $i -lt 2000 ]; do echo "<one id='n$i' of='k$((i % 17))'>$((i * 7919 % 1009))</one>"; i=$((i + 1)); done; echo '</all>'; } >in.xml
cat >sheet.xsl <<'X'
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="text"/><xsl:key name="of" match="one" use="@of"/>
<xsl:template name="down"><xsl:param name="n"/><xsl:if test="$n &gt; 0"><xsl:call-template name="down"><xsl:with-param name="n" select="$n - 1"/></xsl:call-template></xsl:if></xsl:template>
<xsl:template match="/"><xsl:call-template name="down"><xsl:with-param name="n" select="100"/></xsl:call-template>
<xsl:value-of select="count(key('of', 'k3'))"/>:<xsl:for-each select="//one"><xsl:sort select="." data-type="number"/><xsl:if test="position() &lt; 9"><xsl:value-of select="@id"/><xsl:text> </xsl:text></xsl:if></xsl:for-each></xsl:template>
</xsl:stylesheet>
X
xsltproc sheet.xsl in.xml
